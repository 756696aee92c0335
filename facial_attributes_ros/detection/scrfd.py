"""SCRFD (J. Guo et al., 2021) through `insightface.model_zoo`."""

import logging
import math
import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.detection.base import detect_scaled
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import expanded
from facial_attributes_ros.options import DetectorOptions

_LOG = logging.getLogger(__name__)
_SIZE_STEP = 64
"""Input sides are multiples of this; every new size needs a session of its own, so there should be few sizes."""


class ScrfdDetector:
    """InsightFace's detector, from a local file or from a model pack.

    Most files are made for one input size and run at that size for every `detection_size`; a smaller `detection_size`
    then takes the same time and finds fewer faces.

    Attributes:
        options: scale, thresholds and padding.
    """

    def __init__(self, model: Path | str, options: DetectorOptions | None = None) -> None:
        """Load the network.

        Args:
            model: path of a SCRFD ONNX file, or the name of an InsightFace model pack (`buffalo_s`), which insightface
                downloads and whose licence allows non-commercial research only.
            options: how images are searched; None for the defaults.

        Raises:
            UserError: insightface is not installed, the file is missing or is not a SCRFD.
        """
        self.options = options or DetectorOptions()
        self._network = _load(str(model))

    def detect(self, image: NDArray[np.uint8], options: DetectorOptions | None = None) -> list[Detection]:
        """Return the faces of an image, see `FaceDetector.detect`."""
        chosen = options or self.options
        return detect_scaled(image, chosen, partial(self._find, options=chosen))

    def _find(self, scaled: NDArray[np.uint8], options: DetectorOptions) -> NDArray[np.float32]:
        height, width = scaled.shape[:2]
        input_size = tuple(math.ceil(side / _SIZE_STEP) * _SIZE_STEP for side in (width, height))
        self._network.det_thresh = options.score_threshold
        self._network.nms_thresh = options.overlap_threshold
        boxes, landmarks = self._network.detect(scaled, input_size=input_size)
        rows = np.full((len(boxes), 15), np.nan, np.float32)
        rows[:, 0:2] = boxes[:, 0:2]
        rows[:, 2:4] = boxes[:, 2:4] - boxes[:, 0:2]
        if landmarks is not None:
            rows[:, 4:14] = landmarks.reshape(len(boxes), 10)
        rows[:, 14] = boxes[:, 4]
        return rows


def _load(model: str) -> Any:
    try:
        from insightface import model_zoo
    except ImportError as error:
        raise UserError("The SCRFD detector needs insightface; install it with: pip install insightface.") from error
    if model.endswith(".onnx"):
        path = expanded(model)
        if not path.is_file():
            raise UserError(f"There is no detector file {path}; give the path of a SCRFD ONNX file.")
    else:
        path = _pack_detector(model)
    try:
        # insightface prints messages, and standard output is for results.
        with redirect_stdout(sys.stderr):
            network = model_zoo.get_model(str(path))
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        raise UserError(f"insightface cannot read {path} as a face detector: {error}") from error
    if not hasattr(network, "det_thresh"):
        raise UserError(f"{path} is not a SCRFD face detector; in a model pack it is the file named det_….")
    return network


def _pack_detector(pack: str) -> Path:
    """Return the detector file of one of InsightFace's model packs; insightface downloads the pack if it is missing."""
    from insightface.utils import ensure_available

    _LOG.warning(
        "InsightFace's model pack '%s' is licensed for non-commercial research only; choose yunet for other uses.", pack
    )
    try:
        with redirect_stdout(sys.stderr):
            folder = Path(ensure_available("models", pack))
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"insightface cannot fetch the model pack '{pack}' ({type(error).__name__}); check name and network."
        ) from error
    files = sorted(folder.glob("det_*.onnx")) or sorted(folder.glob("*scrfd*.onnx"))
    if not files:
        raise UserError(f"InsightFace's model pack '{pack}' has no face detector.")
    return files[0]
