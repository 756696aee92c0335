"""The choice of a face detector by its name."""

from typing import Any

from facial_attributes_ros.detection.base import FaceDetector
from facial_attributes_ros.detection.scrfd import ScrfdDetector
from facial_attributes_ros.detection.yunet import YuNetDetector
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.options import DetectorOptions


def load_detector(name: str = "yunet", **options: Any) -> FaceDetector:
    """Load a detector by its name.

    Args:
        name: `yunet`, or `yunet:ENGINE` with the engine `onnx` or `opencv`; or an SCRFD: `scrfd:PATH` or a path that
            ends in `.onnx` for a local file, `scrfd:PACK` for one of InsightFace's model packs (for example
            `scrfd:buffalo_s`), whose licence allows non-commercial research only.
        options: fields of `DetectorOptions`.

    Raises:
        UserError: there is no such detector, option or file.

    >>> load_detector("yunet", min_face=40.0).options.min_face
    40.0
    """
    unknown = set(options) - set(DetectorOptions.__dataclass_fields__)
    if unknown:
        raise UserError(f"The detector has no option {', '.join(sorted(unknown))}.")
    settings = DetectorOptions(**options)
    if name == "yunet" or name.startswith("yunet:"):
        return YuNetDetector(options=settings, engine=name.removeprefix("yunet").removeprefix(":") or "auto")
    if name.startswith("scrfd:") or name.endswith(".onnx"):
        return ScrfdDetector(name.removeprefix("scrfd:"), options=settings)
    raise UserError(f"There is no detector '{name}'; choose yunet, or scrfd:FILE.onnx, or scrfd:PACK.")
