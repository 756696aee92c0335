"""YuNet (W. Wu, H. Peng, S. Yu, 2023) in ONNX Runtime, or through OpenCV's FaceDetectorYN."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.detection.base import detect_scaled
from facial_attributes_ros.detection.yunet_onnx import CANDIDATES, OnnxYuNet
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import utf8_name
from facial_attributes_ros.options import DetectorOptions

ENGINES: Final = ("auto", "onnx", "opencv")
"""Both find the same faces; auto is ONNX Runtime, the faster one, where it is installed."""

_LOGGER = logging.getLogger(__name__)


class _Network(Protocol):
    def find(
        self, image: NDArray[np.uint8], score_threshold: float, overlap_threshold: float
    ) -> NDArray[np.float32]: ...


class YuNetDetector:
    """The default detector: 0.2 MB, MIT licence, runs on a CPU.

    Attributes:
        options: scale, thresholds and padding.
        engine: what runs the network, `onnx` or `opencv`.
    """

    def __init__(
        self, model: Path | str | None = None, options: DetectorOptions | None = None, engine: str = "auto"
    ) -> None:
        """Load the network.

        Args:
            model: ONNX file, or None for the one in the user's cache (fetched at the first use).
            options: how images are searched; None for the defaults.
            engine: one of `ENGINES`.

        Raises:
            UserError: the file is missing, cannot be fetched or is not a YuNet, or there is no such engine.
        """
        if engine not in ENGINES:
            raise UserError(f"YuNet has no engine {engine!r}: choose one of {', '.join(ENGINES)}.")
        self.options = options or DetectorOptions()
        path = Path(model) if model else _cached()
        if not path.is_file():
            raise UserError(f"There is no detector file {path}; give the path of a YuNet ONNX file.")
        self._network: _Network
        self.engine, self._network = _load(path, engine)

    def detect(self, image: NDArray[np.uint8], options: DetectorOptions | None = None) -> list[Detection]:
        """Return the faces of an image, see `FaceDetector.detect`."""
        chosen = options or self.options
        return detect_scaled(image, chosen, partial(self._find, options=chosen))

    def _find(self, scaled: NDArray[np.uint8], options: DetectorOptions) -> NDArray[np.float32]:
        return self._network.find(scaled, options.score_threshold, options.overlap_threshold)


class _OpenCvYuNet:
    """The network through OpenCV."""

    def __init__(self, path: Path) -> None:
        try:
            with _quiet(), utf8_name(path) as name:
                self._network = cv2.FaceDetectorYN.create(name, "", (320, 320), top_k=CANDIDATES)
        except cv2.error as error:
            raise UserError(f"OpenCV cannot read {path} as a YuNet face detector; fetch the file again.") from error

    def find(self, image: NDArray[np.uint8], score_threshold: float, overlap_threshold: float) -> NDArray[np.float32]:
        height, width = image.shape[:2]
        self._network.setInputSize((width, height))
        self._network.setScoreThreshold(score_threshold)
        self._network.setNMSThreshold(overlap_threshold)
        _, faces = self._network.detect(image)
        return np.zeros((0, 15), np.float32) if faces is None else np.asarray(faces, np.float32)


def _load(path: Path, engine: str) -> tuple[str, _Network]:
    """Return the name of the chosen engine, and the network in it."""
    if engine == "opencv":
        return engine, _OpenCvYuNet(path)
    try:
        return "onnx", OnnxYuNet(path)
    except ImportError as error:
        if engine == "onnx":
            raise UserError(f"YuNet in ONNX Runtime needs onnx and onnxruntime ({error}): use opencv.") from error
        _LOGGER.info("YuNet runs in OpenCV, which is slower, since onnx or onnxruntime is missing (%s).", error)
        return "opencv", _OpenCvYuNet(path)


def _cached() -> Path:
    # Imported here, so that a detector with a given file needs neither the cache nor the internet.
    from facial_attributes_ros.assets import asset

    return asset("yunet")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warning of OpenCV 5 on standard error that it ignores the target, which is not set."""
    logging = getattr(cv2.utils, "logging", None)
    if logging is None:
        yield
        return
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        logging.setLogLevel(level)
