"""Access to the dialogue node from another node, in the manner of pyhri: attributes and callbacks."""

from collections.abc import Callable
from typing import Any, Final

from rclpy.node import Node
from std_msgs.msg import String

from facial_attributes_ros.msg import Interlocutor, SpeakingManner
from facial_attributes_ros.ros.topics import LATCHED

Callback = Callable[[Any], None]

_TOPICS: Final[dict[str, tuple[Any, str]]] = {
    "interlocutor": (Interlocutor, "interlocutor"),
    "speaking_manner": (SpeakingManner, "speaking_manner"),
    "context": (String, "dialogue/context"),
    "notice": (String, "dialogue/notice"),
}


class DialogueClient:
    """Whom to speak with, how, and in what context, as the dialogue node published it last.

    Args:
        node: whose subscriptions it uses; they are latched, so that a client that starts late knows at once.
    """

    def __init__(self, node: Node) -> None:
        self._last: dict[str, Any] = {}
        self._callbacks: dict[str, list[Callback]] = {name: [] for name in _TOPICS}
        for name, (kind, topic) in _TOPICS.items():
            node.create_subscription(kind, topic, lambda message, name=name: self._take(name, message), LATCHED)

    @property
    def interlocutor(self) -> Interlocutor | None:
        """The `Interlocutor`; None if there is nobody, or the dialogue node has not been heard."""
        message = self._last.get("interlocutor")
        return message if message is not None and message.face_id else None

    @property
    def speaking_manner(self) -> SpeakingManner | None:
        """The `SpeakingManner`; None before the dialogue node has been heard."""
        return self._last.get("speaking_manner")

    @property
    def context(self) -> str:
        """The context for a language model; empty before there is one."""
        return str(getattr(self._last.get("context"), "data", ""))

    @property
    def notice(self) -> str:
        """What the robot may say about its camera; empty before perception says what it estimates."""
        return str(getattr(self._last.get("notice"), "data", ""))

    def on_interlocutor(self, callback: Callback) -> None:
        """Call something with every `Interlocutor` from now on, and with the last one at once."""
        self._add("interlocutor", callback)

    def on_speaking_manner(self, callback: Callback) -> None:
        """Call something with every `SpeakingManner` from now on, and with the last one at once."""
        self._add("speaking_manner", callback)

    def on_context(self, callback: Callback) -> None:
        """Call something with every context (`String`) from now on, and with the last one at once."""
        self._add("context", callback)

    def _add(self, name: str, callback: Callback) -> None:
        self._callbacks[name].append(callback)
        if name in self._last:
            callback(self._last[name])

    def _take(self, name: str, message: Any) -> None:
        self._last[name] = message
        for callback in self._callbacks[name]:
            callback(message)
