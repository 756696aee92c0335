"""Which browser shows what, and what each is sent: the newest, never a queue. Used from two threads."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

WIDTHS: Final = (320, 400, 480, 560, 640, 800, 960, 1280)
"""Widths in pixels for which labels are laid out; a browser gets the next smaller one to that of its image."""
_IN_FLIGHT: Final = 2
"""Images that a browser may have been sent and not shown yet; with one, it would wait for the way there and back."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """What a browser shows at once.

    Attributes:
        faces: the JSON form of the image and its faces, with further keys for the page.
        labels: in JSON form, per width of `WIDTHS` that was asked for.
        jpeg: the image, empty if there is none.
    """

    faces: Json
    labels: Mapping[int, Any]
    jpeg: bytes

    def message(self, view: str, width: int) -> bytes:
        """Return the message for a browser: the length of the JSON in 4 bytes, big-endian, the JSON, and the JPEG.

        Args:
            view: id of what the frame is of.
            width: one of `WIDTHS`.
        """
        text = json.dumps({**self.faces, "view": view, "labels": self.labels.get(width, [])}).encode()
        return len(text).to_bytes(4, "big") + text + self.jpeg


@dataclass(eq=False, slots=True)
class Client:
    """A browser. Only `Hub` changes it.

    Attributes:
        wake: notifies the web thread, from any thread, that there is something to send.
        view: the id of what it shows; empty before it has asked for one.
        width: one of `WIDTHS`.
        visible: whether the page can be seen; nothing is sent to a hidden one.
    """

    wake: Callable[[], None]
    view: str = ""
    width: int = WIDTHS[0]
    visible: bool = True
    in_flight: int = 0
    frame: Frame | None = None
    status: str | None = None


@dataclass(slots=True)
class Hub:
    """Passes on what the node publishes to the browsers that show it.

    Attributes:
        changed: called from the web thread when a browser begins or ceases to show something.
    """

    changed: Callable[[], None] = lambda: None
    _clients: set[Client] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # For the web thread.

    def add(self, client: Client) -> None:
        """Add a browser."""
        with self._lock:
            self._clients.add(client)
        self.changed()

    def remove(self, client: Client) -> None:
        """Forget a browser."""
        with self._lock:
            self._clients.discard(client)
        self.changed()

    def received(self, client: Client, message: Json) -> None:
        """Note what a browser says.

        Args:
            client: the browser.
            message: `view` (an id), `width` (of its image in pixels), `visible`, or `shown` (an image was shown).
        """
        before = client.view, client.visible
        with self._lock:
            if message.get("shown"):
                client.in_flight = max(client.in_flight - 1, 0)
            view = str(message.get("view", client.view))
            if view != client.view:
                client.view, client.frame = view, None
            client.visible = bool(message.get("visible", client.visible))
            width = message.get("width")
            if isinstance(width, int | float):
                client.width = max((one for one in WIDTHS if one <= width), default=WIDTHS[0])
        if (client.view, client.visible) != before:
            self.changed()
        client.wake()

    def to_send(self, client: Client) -> list[str | bytes]:
        """Return what a browser is to be sent now: the newest status as text, the newest image as bytes."""
        with self._lock:
            status, client.status = client.status, None
            ready = client.visible and client.in_flight < _IN_FLIGHT
            frame = client.frame if ready else None
            if frame is not None:
                client.frame = None
                client.in_flight += bool(frame.jpeg)
        messages: list[str | bytes] = [] if status is None else [status]
        return messages if frame is None else [*messages, frame.message(client.view, client.width)]

    # For the thread of the node.

    @property
    def seen(self) -> bool:
        """Whether a page is open and visible."""
        with self._lock:
            return any(client.visible for client in self._clients)

    def watched(self) -> set[str]:
        """Return the ids of the views that a visible page shows."""
        with self._lock:
            return {client.view for client in self._clients if client.visible and client.view}

    def wanted_widths(self, view: str) -> set[int]:
        """Return the widths of the browsers that could show an image of a view now; empty if there is none."""
        with self._lock:
            return {
                client.width
                for client in self._clients
                if client.view == view and client.visible and client.in_flight < _IN_FLIGHT
            }

    def publish_frame(self, view: str, frame: Frame) -> None:
        """Pass a frame on; it takes the place of one that was not sent yet."""
        with self._lock:
            clients = [client for client in self._clients if client.view == view]
            for client in clients:
                client.frame = frame
        _wake(clients)

    def publish_status(self, views: Sequence[Json], statuses: Mapping[str, Json], nothing: Sequence[Json]) -> None:
        """Pass on what there is to choose from, and to each browser the status of what it shows.

        Args:
            views: `id`, `title` and what else the page shows of each.
            statuses: per id.
            nothing: what is wrong if there is nothing to choose from.
        """

        def text(status: Json | None) -> str:
            return json.dumps({"views": views, "status": status, "nothing": nothing})

        texts, none = {view: text(status) for view, status in statuses.items()}, text(None)
        with self._lock:
            clients = list(self._clients)
            for client in clients:
                client.status = texts.get(client.view, none)
        _wake(clients)


def _wake(clients: Iterable[Client]) -> None:
    for client in clients:
        client.wake()


def waker(event: asyncio.Event) -> Callable[[], None]:
    """Return a function that sets an event of the running loop from any thread."""
    loop = asyncio.get_running_loop()

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(event.set)
        except RuntimeError:  # the server has ended
            return

    return wake
