"""Sources of frames where no camera driver publishes them: the sample, images, folders, videos and webcams."""

import itertools
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import expanded, utf8_name
from facial_attributes_ros.imaging import formats
from facial_attributes_ros.imaging.decoder import is_video, read_image
from facial_attributes_ros.imaging.folders import files_in
from facial_attributes_ros.imaging.sample_camera import SampleCamera

_LOG = logging.getLogger(__name__)

Frame = tuple[NDArray[np.uint8], float]
"""An image, uint8 (H, W, 3) BGR, and its time in seconds since the first frame of the source."""

FOLDER_SECONDS = 1.0
"""Seconds for which each image of a folder is shown."""


def open_source(
    spec: str, size: tuple[int, int] = (640, 480), rate: float = 15.0, loop: bool = False
) -> Iterator[Frame]:
    """Open a source of frames.

    The iterator does not wait: a caller who wants real time waits for the time of each frame. Only a webcam delivers
    at its own rate. The sample and a single image never end.

    Args:
        spec: `sample`, `webcam`, `webcam:N` for the N-th camera, or the path of an image, a folder of images or a
            video.
        size: width, height in pixels of the sample's frames, and requested from a webcam; images and videos keep
            their own.
        rate: frames per second of the sample, an image and a folder, and requested from a webcam.
        loop: begin again at the end of a folder or video; the time continues.

    Raises:
        UserError: the source is missing, unreadable or empty; raised by this call and not with the first frame.
    """
    if not rate > 0 or min(size) < 1:
        raise UserError(f"A source needs a rate above 0 and a size of at least one pixel, not {rate} and {size}.")
    if spec == "sample":
        return _sample(SampleCamera(*size), rate)
    if spec == "webcam" or spec.startswith("webcam:"):
        return _webcam(_open_webcam(spec, size, rate))
    path = expanded(spec)
    if path.is_dir():
        return _folder(_images(path), rate, loop)
    if is_video(path):
        return _video(path, _open_video(path), loop)
    return _still(read_image(path), rate)


def _sample(camera: SampleCamera, rate: float) -> Iterator[Frame]:
    for count in itertools.count():
        yield camera.frame(count / rate), count / rate


def _still(image: NDArray[np.uint8], rate: float) -> Iterator[Frame]:
    for count in itertools.count():
        yield image, count / rate


def _images(folder: Path) -> list[Path]:
    paths = files_in(folder, formats.SUFFIXES)
    if not paths:
        raise UserError(f"There are no images in {folder}.")
    return paths


def _folder(paths: list[Path], rate: float, loop: bool) -> Iterator[Frame]:
    shown = max(round(rate * FOLDER_SECONDS), 1)
    count = 0
    while True:
        before = count
        for path in paths:
            try:
                image = read_image(path)
            except UserError as error:
                _LOG.warning("Image dropped: %s", error)
                continue
            for _ in range(shown):
                yield image, count / rate
                count += 1
        if count == before:
            raise UserError(f"None of the {len(paths)} images in {paths[0].parent} can be read.")
        if not loop:
            return


def _open_video(path: Path) -> cv2.VideoCapture:
    if not path.exists():
        raise UserError(f"There is no file {path}.")
    if not os.access(path, os.R_OK):
        raise UserError(f"There is no permission to read {path}.")
    with utf8_name(path) as name:
        capture = cv2.VideoCapture(name)
    if not capture.isOpened():
        raise UserError(f"{path} is not a video that OpenCV can read.")
    return capture


def read_video(path: Path | str) -> Iterator[Frame]:
    """Yield the frames of a video file once, uint8 (H, W, 3) BGR, with their times in seconds.

    Raises:
        UserError: the file is missing or unreadable, raised by this call; or it holds no frame, raised by the iterator.
    """
    path = Path(path)
    return _video(path, _open_video(path), loop=False)


def video_rate(path: Path) -> float:
    """Return the frame rate in a video file's header in Hz, 25 if there is none.

    Raises:
        UserError: the file is missing or unreadable.
    """
    capture = _open_video(path)
    rate = float(capture.get(cv2.CAP_PROP_FPS)) or 25.0
    capture.release()
    return rate


def video_size(path: Path) -> tuple[int, int]:
    """Return width and height in pixels in a video file's header; no frame is decoded.

    Raises:
        UserError: the file is missing or unreadable.
    """
    capture = _open_video(path)
    size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    capture.release()
    return size


def frame_count(path: Path) -> int:
    """Return the number of frames in a video file's header, 1 if there is none or the file cannot be read."""
    try:
        capture = _open_video(path)
    except UserError:
        return 1
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    return max(count, 1)


def _video(path: Path, capture: cv2.VideoCapture, loop: bool) -> Iterator[Frame]:
    period = 1 / (capture.get(cv2.CAP_PROP_FPS) or 25.0)
    start, seconds = 0.0, -period
    try:
        while True:
            begun = seconds
            for image, shown in _capture_frames(capture, period):
                # Some containers have no time stamps, or stamps that go back; the time must increase.
                seconds = max(start + shown, seconds + period / 2)
                yield image, seconds
            if seconds == begun:
                raise UserError(f"The video {path} holds no frame that can be read.")
            if not loop:
                return
            start = seconds + period
            capture.release()
            capture = _open_video(path)
    finally:
        capture.release()


def _capture_frames(capture: cv2.VideoCapture, period: float) -> Iterator[Frame]:
    for count in itertools.count():
        good, image = capture.read()
        shown = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not good:
            return
        yield np.asarray(image, np.uint8), shown if shown > 0 else count * period


class VideoFrames:
    """Gives frames of a video file in any order, the very ones that `read_video` gives."""

    def __init__(self, path: Path | str) -> None:
        """Open the file.

        Raises:
            UserError: it is missing or unreadable.
        """
        self._path = Path(path)
        self._capture = _open_video(self._path)
        self._period = 1 / (self._capture.get(cv2.CAP_PROP_FPS) or 25.0)

    def frame(self, number: int, seconds: float) -> NDArray[np.uint8]:
        """Return a frame, uint8 (H, W, 3) BGR.

        Args:
            number: of the frame, from 0 on.
            seconds: its time. A seek misses in some files; it shows in the time, and the frames are counted then.

        Raises:
            UserError: the file has no such frame any more.
        """
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        good, image = self._capture.read()
        missed = abs(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 - seconds) > self._period / 2
        if not good or (missed and number > 0):
            self._count_to(number)
            good, image = self._capture.read()
        if not good:
            raise UserError(f"{self._path} has no frame {number} any more: was the file changed?")
        return np.asarray(image, np.uint8)

    def close(self) -> None:
        """Free the file."""
        self._capture.release()

    def _count_to(self, number: int) -> None:
        self._capture.release()
        self._capture = _open_video(self._path)
        for _ in range(number):
            self._capture.grab()


def _open_webcam(spec: str, size: tuple[int, int], rate: float) -> cv2.VideoCapture:
    number = spec.partition(":")[2] or "0"
    if not number.isdigit():
        raise UserError(f"The source of a webcam is webcam or webcam:NUMBER, not {spec}.")
    device = Path(f"/dev/video{number}")
    if device.exists() and not os.access(device, os.R_OK | os.W_OK):
        raise UserError(f"There is no permission to use the webcam {device}; add yourself to the group video.")
    capture = cv2.VideoCapture(int(number))
    if not capture.isOpened():
        raise UserError(f"There is no webcam {number}; plug one in, or choose another source, such as sample.")
    for setting, value in (
        (cv2.CAP_PROP_FRAME_WIDTH, size[0]),
        (cv2.CAP_PROP_FRAME_HEIGHT, size[1]),
        (cv2.CAP_PROP_FPS, rate),
    ):
        capture.set(setting, value)
    return capture


def _webcam(capture: cv2.VideoCapture) -> Iterator[Frame]:
    begun: float | None = None
    try:
        while True:
            good, image = capture.read()
            if not good:
                raise UserError(
                    "The webcam delivers no more images; check its cable and that no other program uses it."
                )
            now = time.monotonic()
            begun = now if begun is None else begun
            yield np.asarray(image, np.uint8), now - begun
    finally:
        capture.release()
