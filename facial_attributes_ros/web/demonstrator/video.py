"""From a video file to an annotated copy, the people in it, and a timeline; frame by frame, so that others get turns.

Nothing has a name on the disk: the uploaded file never gets one, and that of the copy goes as soon as the writer has
opened it. So nothing is left, even if the program is killed.
"""

import math
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import EMOTION, LABELS, FaceAttributes
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.drawing import Annotator
from facial_attributes_ros.imaging.jpeg import scaled_down
from facial_attributes_ros.imaging.sources import frame_count, read_video, video_rate, video_size
from facial_attributes_ros.options import RECORDED, PipelineOptions
from facial_attributes_ros.pipeline import FramePipeline
from facial_attributes_ros.web.demonstrator.images import Answer, crop_url, reasons
from facial_attributes_ros.web.demonstrator.models import Parts
from facial_attributes_ros.web.demonstrator.tables import csv_table, json_lines

Image = NDArray[np.uint8]

MAX_BYTES: Final = 300 << 20
"""Largest video file in bytes."""
MAX_PIXELS: Final = 3840 * 2160
"""Largest frame in pixels."""
MAX_SECONDS: Final = 120.0
"""Time after which a video is cut off."""
_FASTEST: Final = 60.0
"""Highest frame rate of the copy in Hz; some files claim absurd ones."""
_LONGEST: Final = 960
"""Longest side of the annotated copy in pixels."""
_BINS: Final = 240
"""Number of times in the timeline at most."""

# VP8 and not VP9: it plays in the same browsers, and OpenCV's writer has no way to choose the speed, at which its VP9
# takes a quarter of a second for a frame of 640x480, four times as long.
_CODEC: Final = "VP80"

_BEGINNINGS: Final = (
    (4, b"ftyp"),  # MP4, MOV
    (4, b"moov"),
    (4, b"mdat"),
    (4, b"wide"),
    (0, b"\x1a\x45\xdf\xa3"),  # Matroska, WebM
    (8, b"AVI "),
    (0, b"\x00\x00\x01\xba"),  # MPEG
    (0, b"\x30\x26\xb2\x75"),  # WMV
)
"""Offset and bytes by which a video is known. Playlists, which name further files or addresses, are not among them."""


@dataclass(slots=True, eq=False)
class _Person:
    first: float
    face: FaceAttributes
    last: float = 0.0
    crop: str = ""
    size: float = 0.0
    points: list[tuple[float, FaceAttributes]] = field(default_factory=list)


class VideoJob:
    """The work on one video: `steps` does a frame at a time, then `answer` has the result. For one thread at a time.

    Attributes:
        done: number of frames that are done.
        total: number of frames by the file's header.
    """

    def __init__(self, parts: Parts, file: IO[bytes], name: str) -> None:
        """Open a video.

        Args:
            parts: estimate the faces.
            file: of the video, as a file of the system.
            name: of the file, for errors and for the JSON.

        Raises:
            UserError: it is no video that can be read, or its frames are too large.
        """
        _check_beginning(file, name)
        path = Path(f"/proc/self/fd/{file.fileno()}")
        try:
            width, height = video_size(path)
            _check_pixels(width, height, name)
            self._frames = read_video(path)
            self._rate = min(max(video_rate(path), 1.0), _FASTEST)
        except UserError as error:
            raise UserError(str(error).replace(str(path), name)) from error
        self.done, self.total = 0, min(frame_count(path), math.ceil(self._rate * MAX_SECONDS))
        self._name, self._tasks = name, parts.tasks
        options = PipelineOptions(tasks=parts.tasks, tracking=RECORDED)
        self._pipeline = FramePipeline(parts.detector, parts.engine, options)
        self._annotator = Annotator()
        self._copy: _Copy | None = None
        self._lines: list[dict[str, Any]] = []
        self._people: dict[str, _Person] = {}
        self._cut = False

    def steps(self) -> Iterator[None]:
        """Process the video, a frame a step.

        Raises:
            UserError: a frame is too large, there is none, or the model failed.
        """
        for image, seconds in self._read():
            if seconds > MAX_SECONDS:
                self._cut = True
                return
            self._process(image, seconds)
            self.done += 1
            yield

    def answer(self) -> Answer:
        """Return the annotated copy, the people and the timeline, after the last step."""
        message = {
            "type": "video",
            "files": ["annotated", "json", "csv"],
            "frames": self.done,
            "seconds": self._lines[-1]["stamp"],
            "cut": self._cut,
            "people": [_row(person, self._tasks) for person in self._people.values()],
            "timeline": [_timeline(person) for person in self._people.values()],
        }
        texts = json_lines(self._lines).encode(), csv_table(self._lines).encode()
        copy = b"" if self._copy is None else self._copy.content()
        return Answer(message, (copy, *texts))

    def close(self) -> None:
        """Free everything."""
        close = getattr(self._frames, "close", None)
        if close is not None:
            close()
        if self._copy is not None:
            self._copy.close()

    def _read(self) -> Iterator[tuple[Image, float]]:
        try:
            yield from self._frames
        except UserError as error:
            raise UserError(f"{self._name} holds no frame that can be read.") from error

    def _process(self, image: Image, seconds: float) -> None:
        height, width = image.shape[:2]
        _check_pixels(width, height, self._name)
        result = self._pipeline.process(image, seconds)
        self._lines.append({"path": self._name} | result.to_dict() | {"stamp": round(seconds, 4)})
        for face in result.faces:
            self._note(image, face, seconds)
        drawn = scaled_down(self._annotator.draw(image, result.faces, self._tasks), _LONGEST)
        if self._copy is None:
            self._copy = _Copy(drawn.shape[1], drawn.shape[0], self._rate)
        self._copy.write(drawn)

    def _note(self, image: Image, face: FaceAttributes, seconds: float) -> None:
        person = self._people.setdefault(face.id, _Person(seconds, face))
        person.face, person.last = face, seconds
        person.points.append((seconds, face))
        size = float(face.detection.box[2]) * face.detection.score
        if size > 1.1 * person.size:
            person.size, person.crop = size, crop_url(image, face)


class _Copy:
    """Writes an annotated video into a file without a name."""

    def __init__(self, width: int, height: int, rate: float) -> None:
        self._size = max(width // 2 * 2, 2), max(height // 2 * 2, 2)  # the codec needs even numbers
        handle, name = tempfile.mkstemp(suffix=".webm")
        self._file = os.fdopen(handle, "rb")
        try:
            with _quiet():
                self._writer = cv2.VideoWriter(name, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*_CODEC), rate, self._size)
        finally:
            Path(name).unlink()
        if not self._writer.isOpened():
            self._file.close()
            raise UserError("This OpenCV cannot write WebM videos: install opencv-python-headless of PyPI.")

    def write(self, image: Image) -> None:
        """Write the next frame."""
        self._writer.write(image[: self._size[1], : self._size[0]])

    def content(self) -> bytes:
        """End the video and return it."""
        self._writer.release()
        self._file.seek(0)
        return self._file.read()

    def close(self) -> None:
        """Free the file."""
        self._writer.release()
        self._file.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what is written to standard error: OpenCV calls the codec unsupported there, and writes it all the same."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _check_beginning(file: IO[bytes], name: str) -> None:
    file.seek(0)
    beginning = file.read(16)
    if not any(beginning[offset : offset + len(mark)] == mark for offset, mark in _BEGINNINGS):
        raise UserError(f"{name} is not a video that can be read; MP4, MOV, WebM, MKV, AVI, MPEG and WMV can.")


def _check_pixels(width: int, height: int, name: str) -> None:
    if height * width > MAX_PIXELS:
        raise UserError(f"{name} has {width}x{height} pixels, and the limit is {MAX_PIXELS / 1e6:.1f} million.")


def _row(person: _Person, tasks: Collection[str]) -> dict[str, Any]:
    """Return the row of a person: what is known at the end, and how often each emotion was seen."""
    labels = [face.emotion.label for _, face in person.points]
    shares = {label: labels.count(label) / len(labels) for label in (*LABELS[EMOTION], None) if label in labels}
    return person.face.to_dict() | {
        "crop": person.crop,
        "unknown": reasons(person.face, tasks),
        "first": round(person.first, 2),
        "last": round(person.last, 2),
        "frames": len(labels),
        "emotions": {label or "unknown": round(share, 4) for label, share in shares.items()},
    }


def _timeline(person: _Person) -> dict[str, Any]:
    """Return what is known of a person over time, at `_BINS` times at most: age, emotion and its probabilities."""
    points = person.points[:: max(math.ceil(len(person.points) / _BINS), 1)]
    return {
        "id": person.face.id,
        "times": [round(seconds, 3) for seconds, _ in points],
        "ages": [None if math.isnan(face.age) else round(face.age, 1) for _, face in points],
        "emotions": [face.emotion.label for _, face in points],
        "probabilities": [np.round(face.emotion.probabilities, 3).tolist() for _, face in points],
    }
