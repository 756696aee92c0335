"""The stream of one view: images and faces brought together by their stamps, the labels, and the last minute."""

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np

from facial_attributes_ros.attributes import EMOTION, LABELS, TASKS
from facial_attributes_ros.imaging.jpeg import Pixels, jpeg, scaled_down
from facial_attributes_ros.imaging.labels import Label, Labels
from facial_attributes_ros.web.live.hub import Frame

Stamp = tuple[int, int]
Decode = Callable[[], Pixels]

_KEPT_IMAGES: Final = 30
_KEPT_BYTES: Final = 64 << 20
"""Number and bytes of the images that wait for their faces."""
FACES_MISSING: Final = 1.0
"""Seconds without faces after which images are shown alone."""
HISTORY: Final = 60
"""Seconds of the past that are shown."""


class ViewStream:
    """Brings the images and the faces of one view together.

    Args:
        size: longest side in pixels of the images that are sent.
        rate: images sent per second at most.
        quality: of the JPEG, 1 to 100.
        sink: takes each frame.
        widths: returns the widths that labels are wanted for; no image is encoded if there is none.
    """

    def __init__(
        self, size: int, rate: float, quality: int, sink: Callable[[Frame], None], widths: Callable[[], set[int]]
    ) -> None:
        self._size, self._interval, self._quality = size, 1 / rate, quality
        self._sink, self._widths = sink, widths
        self._images: OrderedDict[Stamp, tuple[Decode, int]] = OrderedDict()
        self._waiting: dict[str, Any] | None = None
        self._labels: dict[int, Labels] = {}
        self._history = History()
        self._last_faces = self._last_sent = -np.inf

    def image(self, stamp: Stamp, decode: Decode, size: int, now: float) -> None:
        """Take an image.

        Args:
            stamp: seconds and nanoseconds.
            decode: returns its pixels, uint8 (H, W, 3) BGR; called only if it is sent.
            size: bytes that it holds.
            now: seconds on a clock that never goes back.
        """
        self._images[stamp] = decode, size
        while len(self._images) > 1 and (
            len(self._images) > _KEPT_IMAGES or sum(held for _, held in self._images.values()) > _KEPT_BYTES
        ):
            self._images.popitem(last=False)
        if self._waiting is not None and _stamp(self._waiting) == stamp:
            record, self._waiting = self._waiting, None
            self._send(record, decode, now)
        elif now - self._last_faces > FACES_MISSING:
            self._send(None, decode, now)

    def faces(self, record: Mapping[str, Any], now: float, tasks: Collection[str] = TASKS) -> None:
        """Take the faces of an image: its JSON form.

        Args:
            record: see `attributes.image_dict`; `stamp` has `sec` and `nanosec`.
            now: seconds on a clock that never goes back.
            tasks: those that run.
        """
        self._last_faces = now
        self._history.add(record["faces"], now)
        shown = {**record, "tasks": list(tasks)}
        stamp = _stamp(record)
        for old in [one for one in self._images if one < stamp]:
            del self._images[old]
        entry = self._images.pop(stamp, None)
        if entry is not None:
            self._send(shown, entry[0], now)
            return
        # Its image may come a little later. If many are lost, the faces are shown without one.
        if self._waiting is not None and now - self._last_sent > FACES_MISSING and self._widths():
            self._sink(Frame(shown, {}, b""))
        self._waiting = shown

    def history(self, now: float) -> dict[str, list[int]]:
        """Return the emotions of the last minute, see `History.seconds`."""
        return self._history.seconds(now)

    def _send(self, record: Mapping[str, Any] | None, decode: Decode, now: float) -> None:
        widths = self._widths()
        if not widths or now - self._last_sent < 0.8 * self._interval:
            return
        self._last_sent = now
        image = decode()
        shown = record or {"width": image.shape[1], "height": image.shape[0], "faces": None}
        labels = {width: self._laid_out(shown, width) for width in widths} if record else {}
        self._sink(Frame(shown, labels, jpeg(scaled_down(image, self._size), self._quality)))

    def _laid_out(self, record: Mapping[str, Any], width: int) -> dict[str, Any]:
        """Return the labels for an image that is shown at a width, in pixels of that image."""
        scale = width / max(record["width"], 1)
        size = width, max(round(scale * record["height"]), 1)
        faces = [{**face, "box": [scale * value for value in face["box"]]} for face in record["faces"]]
        labels = self._labels.setdefault(width, Labels()).lay_out(faces, size, record["tasks"])
        return {"size": size, "plates": [_plate(label) for label in labels]}


class History:
    """The emotions of everybody in view, second by second."""

    def __init__(self) -> None:
        self._labels: dict[str, deque[tuple[int, int]]] = {}

    def add(self, faces: Sequence[Mapping[str, Any]], now: float) -> None:
        """Note the emotions of a frame; the last ones of a second count."""
        for face in faces:
            label = face[EMOTION]
            index = -1 if label is None else LABELS[EMOTION].index(label)
            past = self._labels.setdefault(face["id"], deque(maxlen=HISTORY))
            if past and past[-1][0] == int(now):
                past.pop()
            past.append((int(now), index))
        gone = [name for name, past in self._labels.items() if past[-1][0] < now - HISTORY]
        for name in gone:
            del self._labels[name]

    def seconds(self, now: float) -> dict[str, list[int]]:
        """Return the class index of every second of the last minute per id, the newest last.

        It is -1 where the emotion was unknown, and -2 where the person was not seen.
        """
        times = range(int(now) - HISTORY + 1, int(now) + 1)
        recent = {name: dict(past) for name, past in self._labels.items() if past[-1][0] > now - HISTORY}
        return {name: [past.get(second, -2) for second in times] for name, past in recent.items()}


def _stamp(record: Mapping[str, Any]) -> Stamp:
    return record["stamp"]["sec"], record["stamp"]["nanosec"]


def _plate(label: Label) -> dict[str, Any]:
    """Return a label in JSON form."""
    return {
        "face": label.face,
        "lines": label.lines,
        "colour": f"rgb{label.colour}",
        "height": label.height,
        "step": label.step,
        "padding": label.padding,
        "box": label.box,
        "leader": label.leader,
    }
