"""YuNet (W. Wu, H. Peng, S. Yu, 2023) through OpenCV's FaceDetectorYN."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.vision.detectors.base import DetectorOptions, detect_scaled

_CANDIDATES = 5000


class YuNetDetector:
    """The default detector: 0.2 MB, MIT licence, runs on a CPU.

    Attributes:
        options: scale, thresholds and padding.
    """

    def __init__(self, model: Path | str | None = None, options: DetectorOptions | None = None) -> None:
        """Load the network.

        Args:
            model: ONNX file, or None for the one in the user's cache (fetched at the first use).
            options: how to look at frames; None for the defaults.

        Raises:
            UserError: the file is missing, cannot be fetched or is not a YuNet.
        """
        self.options = options or DetectorOptions()
        path = Path(model) if model else _cached()
        if not path.is_file():
            raise UserError(f"There is no detector file {path}; give the path of a YuNet ONNX file.")
        try:
            with _quiet():
                self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), top_k=_CANDIDATES)
        except cv2.error as error:
            raise UserError(f"OpenCV cannot read {path} as a YuNet face detector; fetch the file again.") from error

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Return the faces of a BGR picture, uint8 (H, W, 3), in pixels of that picture, best score first."""
        return detect_scaled(image, self.options, self._find)

    def _find(self, scaled: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width = scaled.shape[:2]
        self._network.setInputSize((width, height))
        # The options may be exchanged while the detector runs.
        self._network.setScoreThreshold(self.options.score_threshold)
        self._network.setNMSThreshold(self.options.overlap_threshold)
        _, faces = self._network.detect(scaled)
        return np.zeros((0, 15), np.float32) if faces is None else np.asarray(faces, np.float32)


def _cached() -> Path:
    # Imported here so that a detector with a file of its own needs neither cache nor network.
    from facial_attributes_ros.assets import asset

    return asset("yunet")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV 5 from warning on standard error that it ignores the target, which nobody has set."""
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
