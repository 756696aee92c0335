"""Annotated copies of pictures and videos in a folder that the user named."""

from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import FaceAttributes
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.vision.drawing import annotate
from facial_attributes_ros.vision.sources import video_rate


class AnnotatedCopies:
    """Writes copies with the faces drawn in; writes nothing without a folder."""

    def __init__(self, folder: Path | None, inputs: list[Path]) -> None:
        """Take the folder in use.

        Args:
            folder: where the copies go, made if missing; None to write none.
            inputs: the paths that the user named; what lies in a folder keeps its place below it.

        Raises:
            UserError: the folder cannot be made, or the copies would replace the pictures.
        """
        self._folder = folder
        self._inputs = [path for path in inputs if path.is_dir()]
        self._video: tuple[Path, cv2.VideoWriter] | None = None
        self._taken: dict[Path, Path] = {}
        if folder is None:
            return
        homes = {path.resolve() if path.is_dir() else path.resolve().parent for path in inputs}
        if folder.resolve() in homes:
            raise UserError(f"The annotated copies would replace the pictures in {folder}; choose another folder.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"The folder {folder} cannot be made: {error.strerror}.") from error

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End a video that is being written."""
        self._end_video()

    def picture(self, path: Path, image: NDArray[np.uint8], faces: list[FaceAttributes]) -> None:
        """Write the copy of a picture, uint8 (H, W, 3) BGR.

        Raises:
            UserError: it cannot be written.
        """
        if self._folder is None:
            return
        suffix = path.suffix if cv2.haveImageWriter(str(path)) else ".png"
        target = self._target(self._folder, path, suffix)
        good, data = cv2.imencode(target.suffix, annotate(image, faces))
        if not good:
            raise UserError(f"The annotated copy of {path} cannot be encoded.")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data.tobytes())
        except OSError as error:
            raise UserError(f"{target} cannot be written: {error.strerror}.") from error

    def frame(self, path: Path, image: NDArray[np.uint8], faces: list[FaceAttributes]) -> None:
        """Write the copy of the next frame of a video, uint8 (H, W, 3) BGR.

        Raises:
            UserError: it cannot be written.
        """
        if self._folder is None:
            return
        if self._video is None or self._video[0] != path:
            self._end_video()
            self._video = path, self._new_video(self._folder, path, (image.shape[1], image.shape[0]))
        self._video[1].write(annotate(image, faces))

    def _new_video(self, to: Path, path: Path, size: tuple[int, int]) -> cv2.VideoWriter:
        target = self._target(to, path, ".mp4")
        target.parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"mp4v"), video_rate(path), size)
        if not writer.isOpened():
            raise UserError(f"OpenCV cannot write the video {target}.")
        return writer

    def _end_video(self) -> None:
        if self._video is not None:
            self._video[1].release()
            self._video = None

    def _target(self, to: Path, path: Path, suffix: str) -> Path:
        """Return where in a folder a copy goes; two pictures of the same name do not share a place."""
        root = next((folder for folder in self._inputs if path.is_relative_to(folder)), path.parent)
        wanted = to / path.relative_to(root).with_suffix(suffix)
        target, number = wanted, 1
        while self._taken.get(target, path) != path:
            number += 1
            target = wanted.with_stem(f"{wanted.stem}-{number}")
        self._taken[target] = path
        return target
