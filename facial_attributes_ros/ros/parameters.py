"""Settings as parameters of a node: declared with range and description, and every other name refused.

rclpy accepts values for parameters that a node does not have, without a message, and then a task that
`tasks.emotions: false` was to switch off stays on. So here every unknown name is refused, also under `/**` in a file
for many nodes: a mistyped name cannot be distinguished from another node's, and what is meant for another node can
stand under the name of that node.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterNotDeclaredException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, HistoryPolicy, ReliabilityPolicy

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.rclpy_internals import given_parameters
from facial_attributes_ros.setting import Setting, When

APPLIED: Final[Mapping[When, str]] = {
    "start": "Read-only.",
    "configure": "A change is applied by the next configure.",
    "live": "A change is applied at once.",
}
FOR_EVERY_NODE = ("/clock", "/parameter_events", "/rosout")
"""Topics that every node has; a robot may set their quality of service for all of its nodes alike."""
QOS = "qos_overrides."
QOS_WORDS: Mapping[str, Any] = {
    "history": HistoryPolicy,
    "reliability": ReliabilityPolicy,
    "durability": DurabilityPolicy,
}
FEW = 10
"""Largest number of parameters of a node that a message lists."""
ALIKE = 0.5
"""Smallest similarity, 0 to 1, at which a name is suggested for an unknown one."""


def declare(node: Node, setting: Setting) -> None:
    """Declare a parameter on a node.

    Its value is the one that the node was given at its start, or the default if there is none or it is invalid. A
    whole number is taken where the setting is a number with a point.

    Raises:
        UserError: the given value is invalid.
    """
    given = (given_parameters(node) or {}).get(setting.name)
    whole = given is not None and isinstance(setting.default, float) and given.type_ == Parameter.Type.INTEGER
    try:
        value = float(given.value) if whole and given is not None else setting.default
        node.declare_parameter(setting.name, value, descriptor(setting), ignore_override=whole)
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        node.declare_parameter(setting.name, setting.default, descriptor(setting), ignore_override=True)
        raise UserError(f"The parameter {setting.name} {setting.takes}.") from error


def descriptor(setting: Setting) -> ParameterDescriptor:
    """Return the description of a setting for ROS tools."""
    result = ParameterDescriptor(description=setting.text, read_only=setting.when == "start")
    constraints = [f"One of {', '.join(setting.choices)}."] if setting.choices else []
    result.additional_constraints = " ".join([*constraints, APPLIED[setting.when]])
    if setting.low is not None and setting.high is not None:
        if isinstance(setting.default, int):
            result.integer_range = [IntegerRange(from_value=int(setting.low), to_value=int(setting.high))]
        else:
            limits = FloatingPointRange(from_value=float(setting.low), to_value=float(setting.high))
            result.floating_point_range = [limits]
    return result


class NoSuchParameterError(ParameterNotDeclaredException):
    """A parameter is set that the node does not have; rclpy answers with the text of this error."""

    def __init__(self, sentence: str) -> None:
        Exception.__init__(self, sentence)


class ParameterNames:
    """Refuses every parameter that a node neither has nor will have.

    It also lets pass what rclpy refuses without need: a parameter that is only given at the start and is set to the
    value that it has, as when a file is loaded again; and a whole number for a number with a point.

    Args:
        node: the node; it has declared its parameters.
        later: names of parameters that it will declare when they are needed, such as `qos_overrides`.
    """

    def __init__(self, node: Node, later: Iterable[str] = ()) -> None:
        self._node = node
        self._later = tuple(later)
        node.add_pre_set_parameters_callback(self._prepared)

    def check_overrides(self) -> None:
        """Check the parameters that the node was given at its start.

        Raises:
            UserError: a name is unknown, or a quality of service is invalid.
        """
        overrides = given_parameters(self._node)
        if overrides is None:
            self._node.get_logger().warning("This rclpy does not show which parameters were given: check their names.")
            return
        unknown = [name for name in overrides if not self._is_known(name)]
        if unknown:
            raise UserError(self._no_such(unknown))
        for name, override in overrides.items():
            if name.startswith(QOS):
                _check_qos(name, override.value)

    def _is_known(self, name: str) -> bool:
        if self._node.has_parameter(name) or name in self._later:
            return True
        return name.startswith(tuple(f"{QOS}{topic}." for topic in FOR_EVERY_NODE))

    def _prepared(self, changes: Sequence[Parameter]) -> Sequence[Parameter]:
        """Return changes as rclpy takes them; raise for one that is not there: its own answer does not name it."""
        unknown = [change.name for change in changes if not self._node.has_parameter(change.name)]
        if unknown:
            raise NoSuchParameterError(self._no_such(unknown))
        numbers = [self._as_number(change) for change in changes]
        new = [change for change in numbers if not self._repeats_start(change)]
        # rclpy refuses an empty list: a change that changes nothing stands for it.
        return new or [self._node.get_parameter("use_sim_time")]

    def _as_number(self, change: Parameter) -> Parameter:
        """Return a change, with a point in its number if the parameter has one."""
        has_point = self._node.get_parameter(change.name).type_ == Parameter.Type.DOUBLE
        if has_point and change.type_ == Parameter.Type.INTEGER:
            return Parameter(change.name, value=float(change.value))
        return change

    def _repeats_start(self, change: Parameter) -> bool:
        """Return whether a change gives a read-only parameter the value that it has."""
        present = self._node.get_parameter(change.name)
        same = (change.type_, change.value) == (present.type_, present.value)
        return same and bool(self._node.describe_parameter(change.name).read_only)

    def _no_such(self, unknown: Sequence[str]) -> str:
        declared = self._node.list_parameters([], 0).names
        names = ", ".join(f"{name}{_hint(name, [*declared, *self._later])}" for name in unknown)
        rest = (
            f"it has {', '.join(declared)}" if len(declared) <= FEW else "`ros2 param list` lists the ones that it has"
        )
        return f"The node {self._node.get_name()} has no parameter {names}; {rest}."


def _hint(name: str, known: Sequence[str]) -> str:
    (likeness, _), nearest = max(((_likeness(name, other), other) for other in known), default=((0.0, 0.0), ""))
    return f" (did you mean {nearest}?)" if likeness >= ALIKE else ""


def _likeness(name: str, other: str) -> tuple[float, float]:
    """Return how alike two names are, 0 to 1, as a whole or behind the last dot; and then, to decide, as a whole."""
    whole = SequenceMatcher(None, name, other).ratio()
    last = SequenceMatcher(None, name.rpartition(".")[2], other.rpartition(".")[2]).ratio()
    return max(whole, 0.9 * last), whole


def _check_qos(name: str, value: Any) -> None:
    policy = name.rpartition(".")[2]
    words = [word.lower() for word in QOS_WORDS[policy].__members__ if word != "UNKNOWN"] if policy in QOS_WORDS else []
    if words and value not in words:
        raise UserError(f"The parameter {name} takes one of {', '.join(words)}, not '{value}'.")
    if policy == "depth" and (type(value) is not int or value < 0):
        raise UserError(f"The parameter {name} takes a whole number from 0, not '{value}'.")
