"""Annotated copies of images and videos in a folder that the user named."""

import logging
from collections.abc import Collection
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from facial_attributes_ros.attributes import TASKS, FaceAttributes
from facial_attributes_ros.cli.common import make_folder
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import utf8_name
from facial_attributes_ros.imaging.drawing import Annotator, annotate
from facial_attributes_ros.imaging.sources import video_rate

_LOG = logging.getLogger(__name__)

_IN_COLOUR = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".ppm", ".pnm", ".jp2"}
)
"""Suffixes of the formats that OpenCV writes in colour."""


class AnnotatedCopies:
    """Writes copies with the faces drawn in; writes nothing without a folder.

    Attributes:
        failed: number of copies that could not be written; the log says why.
    """

    def __init__(self, folder: Path | None, inputs: list[Path], tasks: Collection[str] = TASKS) -> None:
        """Make the folder.

        Args:
            folder: for the copies, made if missing; None to write none.
            inputs: the paths that the user named; a file in a folder keeps its place below it.
            tasks: those that run; the others are not mentioned in the copies.

        Raises:
            UserError: the folder cannot be made, or the copies would replace the images.
        """
        self.failed = 0
        self._tasks, self._annotator = tasks, Annotator()
        self._folder = folder
        self._inputs = [path for path in inputs if path.is_dir()]
        self._video: tuple[Path, cv2.VideoWriter | None] | None = None
        self._taken: dict[Path, Path] = {}
        if folder is None:
            return
        homes = {path.resolve() if path.is_dir() else path.resolve().parent for path in inputs}
        if folder.resolve() in homes:
            raise UserError(
                f"The annotated copies would replace the images in {folder}: give another folder with --annotate."
            )
        make_folder(folder, "--annotate")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End a video that is being written."""
        self._end_video()

    def image(self, path: Path, image: NDArray[np.uint8], faces: list[FaceAttributes]) -> None:
        """Write the copy of an image, uint8 (H, W, 3) BGR: in its own format if that holds colours, else as PNG."""
        if self._folder is None:
            return
        try:
            suffix, data = _encoded(path.suffix.lower(), annotate(image, faces, self._tasks))
            target = self._target(self._folder, path, path.suffix if suffix == path.suffix.lower() else suffix)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        except (OSError, cv2.error) as error:
            self._fail(path, error)

    def frame(self, path: Path, image: NDArray[np.uint8], faces: list[FaceAttributes]) -> None:
        """Write the copy of the next frame of a video, uint8 (H, W, 3) BGR."""
        if self._folder is None:
            return
        if self._video is None or self._video[0] != path:
            self._end_video()
            self._annotator = Annotator()
            self._video = path, self._new_video(self._folder, path, (image.shape[1], image.shape[0]))
        if self._video[1] is not None:
            self._video[1].write(self._annotator.draw(image, faces, self._tasks))

    def _new_video(self, to: Path, path: Path, size: tuple[int, int]) -> cv2.VideoWriter | None:
        """Begin the copy of a video; None if it cannot be written."""
        target = self._target(to, path, ".mp4")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()  # OpenCV does not say why it cannot write
            with utf8_name(target) as name:
                writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"mp4v"), video_rate(path), size)
        except (OSError, cv2.error) as error:
            self._fail(path, error)
            return None
        if not writer.isOpened():
            self._fail(path, "OpenCV cannot encode it")
            return None
        return writer

    def _end_video(self) -> None:
        if self._video is not None and self._video[1] is not None:
            self._video[1].release()
        self._video = None

    def _fail(self, path: Path, reason: Exception | str) -> None:
        """Log that a copy is not written; its faces are listed all the same, and the images after it follow."""
        self.failed += 1
        why = (reason.strerror if isinstance(reason, OSError) else "") or reason
        _LOG.error("The annotated copy of %s is not written: %s.", path, why)

    def _target(self, to: Path, path: Path, suffix: str) -> Path:
        """Return the path of a copy in a folder; two images of the same name get different ones."""
        root = next((folder for folder in self._inputs if path.is_relative_to(folder)), path.parent)
        wanted = to / path.relative_to(root).with_suffix(suffix)
        target, number = wanted, 1
        while self._taken.get(target, path) != path:
            number += 1
            target = wanted.with_stem(f"{wanted.stem}-{number}")
        self._taken[target] = path
        return target


def _encoded(suffix: str, image: NDArray[np.uint8]) -> tuple[str, bytes]:
    """Return a suffix and an image file: of the wanted suffix, or PNG where that cannot hold the image.

    Raises:
        cv2.error: it cannot be written as PNG either.
    """
    if suffix in _IN_COLOUR:
        try:
            good, data = cv2.imencode(suffix, image)
            if good:
                return suffix, data.tobytes()
        except cv2.error:  # a side too long for the format, or this OpenCV has no such codec
            pass
    return ".png", cv2.imencode(".png", image)[1].tobytes()
