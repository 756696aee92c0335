"""What this package needs of rclpy and rclpy keeps to itself. Each part is looked up here only, and checked.

The names are those of Jazzy. A release that has others is reported in a sentence, and the node works as well as it can.
"""

from collections.abc import Callable, Mapping
from typing import Any

from rclpy.node import Node
from rclpy.parameter import Parameter

from facial_attributes_ros.errors import UserError

Callback = Callable[[Any, Any], Any]
_MACHINE = ("current_state", "trigger_transition_by_id", "trigger_transition_by_label")


def given_parameters(node: Node) -> Mapping[str, Parameter] | None:
    """Return the parameters that a node was given at its start, by name; None if this rclpy does not show them."""
    given = getattr(node, "_parameter_overrides", None)
    return given if isinstance(given, Mapping) else None


def state_machine(node: Any) -> Any:
    """Return the state machine of a lifecycle node, with `current_state` and `trigger_transition_by_…`.

    Raises:
        UserError: this rclpy keeps it elsewhere, so that a lifecycle node of this package cannot work with it.
    """
    machine = getattr(node, "_state_machine", None)
    if not all(hasattr(machine, name) for name in _MACHINE):
        raise UserError("This release of rclpy keeps the lifecycle of a node elsewhere than Jazzy does: use Jazzy's.")
    return machine


def wrap_change_state(node: Any, wrap: Callable[[Callback], Callback]) -> bool:
    """Replace the callback of the service `change_state` by a wrapped one; return False if this rclpy hides it."""
    service: Any = getattr(node, "_service_change_state", None)
    if service is None or not callable(getattr(service, "callback", None)):
        return False
    service.callback = wrap(service.callback)
    return True
