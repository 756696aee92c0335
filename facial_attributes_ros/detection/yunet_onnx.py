"""YuNet in ONNX Runtime: the network of the file, with the pre- and postprocessing of OpenCV's FaceDetectorYN."""

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.errors import UserError

CANDIDATES: Final = 5000
"""Largest number of boxes that enter non-maximum suppression."""
_STRIDES: Final = (8, 16, 32)
_OUTPUTS: Final = tuple(f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in _STRIDES)
_ERRORS_ONLY: Final = 3

Rows = NDArray[np.float32]


class OnnxYuNet:
    """Finds the same faces as OpenCV's FaceDetectorYN, on two cores in about half of its time."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load the network.

        Args:
            path: the ONNX file.
            threads: number of CPU threads; by default one per core.

        Raises:
            ImportError: onnx or onnxruntime is not installed.
            UserError: the file is not a YuNet.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = _ERRORS_ONLY  # it warns of every output whose size is not the file's
        # Waiting threads that spin would keep the cores from the model and from DDS.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(_any_size(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # neither library's errors have a common base class of their own
            raise UserError(f"ONNX Runtime cannot read {path} as a YuNet face detector ({error}).") from error
        if {output.name for output in self._session.get_outputs()} != set(_OUTPUTS):
            raise UserError(f"{path} is not a YuNet face detector; fetch the file again.")
        self._input = self._session.get_inputs()[0].name

    def find(self, image: NDArray[np.uint8], score_threshold: float, overlap_threshold: float) -> Rows:
        """Return float32 (N, 15): box, landmarks and score of every face, in pixels, best score first.

        Args:
            image: uint8 (H, W, 3) BGR.
            score_threshold: lowest score that is kept.
            overlap_threshold: boxes whose intersection over union is larger are one face.
        """
        height, width = image.shape[:2]
        below, right = -height % _STRIDES[-1], -width % _STRIDES[-1]
        padded = np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT), np.uint8)
        outputs = dict(zip(_OUTPUTS, self._session.run(_OUTPUTS, {self._input: _blob(padded)}), strict=True))
        columns = padded.shape[1]
        rows = np.concatenate([_decode(outputs, stride, columns, score_threshold) for stride in _STRIDES])
        return _distinct(rows, score_threshold, overlap_threshold)


def _any_size(path: Path) -> bytes:
    """Return the network of a file with an input of any size, in place of the size that the file was written with."""
    import onnx

    model = onnx.load(str(path))
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    for size, name in zip(sizes[2:], ("height", "width"), strict=True):
        size.dim_param = name
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_param = f"places of {output.name}"
    content: bytes = model.SerializeToString()
    return content


def _blob(image: NDArray[np.uint8]) -> Rows:
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)


def _decode(outputs: dict[str, Any], stride: int, width: int, threshold: float) -> Rows:
    """Return (N, 15) in pixels for the grid cells of one stride whose score reaches the threshold."""
    classes, objects = (np.clip(outputs[f"{kind}_{stride}"][0, :, 0], 0, 1) for kind in ("cls", "obj"))
    scores = np.sqrt(classes * objects)
    chosen = np.flatnonzero(scores >= threshold)
    cells = np.stack([chosen % (width // stride), chosen // (width // stride)], axis=1).astype(np.float32)
    boxes, points = (outputs[f"{kind}_{stride}"][0][chosen] for kind in ("bbox", "kps"))
    rows = np.empty((len(chosen), 15), np.float32)
    rows[:, 2:4] = np.exp(boxes[:, 2:4]) * stride
    rows[:, 0:2] = (cells + boxes[:, 0:2]) * stride - rows[:, 2:4] / 2
    rows[:, 4:14] = ((points.reshape(-1, 5, 2) + cells[:, None]) * stride).reshape(-1, 10)
    rows[:, 14] = scores[chosen]
    return rows


def _distinct(rows: Rows, score_threshold: float, overlap_threshold: float) -> Rows:
    """Return the best of boxes that overlap (non-maximum suppression), compared in whole pixels as by OpenCV."""
    if not len(rows):
        return rows
    whole = np.trunc(rows[:, :4]).astype(int).tolist()
    scores = rows[:, 14].tolist()
    kept = cv2.dnn.NMSBoxes(whole, scores, score_threshold, overlap_threshold, 1.0, CANDIDATES)
    return np.asarray(rows[np.asarray(kept, int).reshape(-1)], np.float32)
