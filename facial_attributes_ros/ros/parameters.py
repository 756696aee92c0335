"""The table of settings as ROS parameters: declared, read and checked, changed while the node runs."""

from collections.abc import Sequence
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.settings import SETTINGS, Setting, Settings, settings_from

_NAMES = frozenset(setting.name for setting in SETTINGS)
_DEFAULTS: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}
_CONFIGURE = frozenset(setting.name for setting in SETTINGS if setting.when == "configure")
_EFFECT = {
    "start": "Read-only.",
    "configure": "Counts from the next configure.",
    "live": "Can be changed at any time.",
}


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


class ParameterTable:
    """Declares the table's parameters on a node and answers for their values.

    A value given at the start that cannot be does not end the node: `read` says what is wrong until somebody sets a
    good one.

    Args:
        node: the node that has the parameters.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._problems: dict[str, str] = {}
        for setting in SETTINGS:
            self._declare(setting)

    def _declare(self, setting: Setting) -> None:
        try:
            self._node.declare_parameter(setting.name, setting.default, descriptor(setting))
        except (InvalidParameterTypeException, InvalidParameterValueException):
            self._node.declare_parameter(setting.name, setting.default, descriptor(setting), ignore_override=True)
            self._problems[setting.name] = f"The parameter {setting.name} {_wanted(setting)}."

    def read(self) -> Settings:
        """Return the values of all parameters.

        Raises:
            UserError: one was given a value that cannot be.
        """
        for problem in self._problems.values():
            raise UserError(problem)
        return settings_from({name: self._node.get_parameter(name).value for name in _NAMES})

    def check(self, changes: Sequence[Parameter], configured: bool) -> SetParametersResult:
        """Answer whether parameters may be changed.

        Args:
            changes: name and value of each.
            configured: whether the node has been configured; then what configure reads is fixed.
        """
        ours = {change.name: change.value for change in changes if change.name in _NAMES}
        fixed = sorted(set(ours) & _CONFIGURE)
        if configured and fixed:
            reason = f"{', '.join(fixed)} is read in configure: clean the node up first, then set and configure it."
            return SetParametersResult(successful=False, reason=reason)
        try:
            # Against the defaults: a bad value elsewhere must not keep a good one from being set.
            settings_from(_DEFAULTS | ours)
        except UserError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def settled(self, changes: Sequence[Parameter]) -> None:
        """Take note that parameters have been set to good values."""
        for change in changes:
            self._problems.pop(change.name, None)


def _wanted(setting: Setting) -> str:
    """Say what values a parameter takes."""
    kind = {bool: "takes true or false", str: "takes a text"}.get(type(setting.default))
    if kind is not None:
        return kind
    number = "a whole number" if isinstance(setting.default, int) else f"a number with a point, as {setting.default},"
    return f"takes {number} from {setting.low:g} to {setting.high:g}"
