"""Settings as parameters of a node."""

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.setting import Setting

_EFFECT = {
    "start": "Read-only.",
    "configure": "Counts from the next configure.",
    "live": "Can be changed at any time.",
}


def declare(node: Node, setting: Setting) -> None:
    """Declare a parameter on a node.

    It takes the value that was given to the node from outside, if there is one; its default if that cannot be.

    Raises:
        UserError: the given value cannot be.
    """
    try:
        node.declare_parameter(setting.name, setting.default, descriptor(setting))
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        node.declare_parameter(setting.name, setting.default, descriptor(setting), ignore_override=True)
        raise UserError(f"The parameter {setting.name} {setting.takes}.") from error


def descriptor(setting: Setting) -> ParameterDescriptor:
    """Return how ROS tools see a setting."""
    result = ParameterDescriptor(description=setting.text, read_only=setting.when == "start")
    constraints = [f"One of {', '.join(setting.choices)}."] if setting.choices else []
    result.additional_constraints = " ".join([*constraints, _EFFECT[setting.when]])
    if setting.low is not None and setting.high is not None:
        if isinstance(setting.default, int):
            result.integer_range = [IntegerRange(from_value=int(setting.low), to_value=int(setting.high))]
        else:
            limits = FloatingPointRange(from_value=float(setting.low), to_value=float(setting.high))
            result.floating_point_range = [limits]
    return result
