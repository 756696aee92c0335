"""Distances of faces from a depth image that is registered to the camera's image."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import FaceAttributes
from facial_attributes_ros.geometry.camera import Camera
from facial_attributes_ros.geometry.pose import FacePose

_PATCH: Final = 0.3
"""Half the side of the patch between the eyes that is measured, in distances between the eyes."""
_PATCH_OF_BOX: Final = 0.1
"""The same in widths of the box, where there are no landmarks."""
_FEWEST: Final = 0.3
"""Fraction of the patch that needs a depth."""
_PLAUSIBLE: Final = 4.0
"""Largest deviation from the distance by the face's size, in its standard deviations; else something else is seen."""
_SENSOR: Final = 0.01
"""Smallest standard deviation of a depth, as a fraction of it."""


def measured(
    camera: Camera, poses: Sequence[FacePose], faces: Sequence[FaceAttributes], depth: NDArray[np.float32]
) -> list[FacePose]:
    """Return the poses with the distances that a depth image gives; without a plausible one they stay as they are.

    Args:
        camera: of the image and of the depth image, which may have another number of pixels.
        poses: of the faces, with a distance by the face's size.
        faces: in the same order.
        depth: float32 (H, W): metres along the optical axis; 0 or NaN where nothing was measured.
    """
    scale = np.array(depth.shape[::-1]) / (camera.width, camera.height)
    return [_measured(pose, face, depth, scale) for pose, face in zip(poses, faces, strict=True)]


def _measured(pose: FacePose, face: FaceAttributes, depth: NDArray[np.float32], scale: NDArray[np.float64]) -> FacePose:
    values = _patch(face, depth, scale)
    valid = values[np.isfinite(values) & (values > 0)]
    if not values.size or valid.size < _FEWEST * values.size or pose.bearing[2] < 0.1:
        return pose
    middle = float(np.median(valid))
    deviation = max(1.4826 * float(np.median(np.abs(valid - middle))), _SENSOR * middle)
    distance = middle / float(pose.bearing[2])
    if abs(distance - pose.distance) > _PLAUSIBLE * pose.distance_stddev:
        return pose
    return replace(pose, distance=distance, distance_stddev=deviation / float(pose.bearing[2]), from_depth=True)


def _patch(face: FaceAttributes, depth: NDArray[np.float32], scale: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the depths of the patch between the eyes, or in the middle of the box."""
    box, eyes = face.detection.box.astype(np.float64), face.detection.landmarks[:2].astype(np.float64)
    if np.isfinite(eyes).all():
        centre, half = eyes.mean(axis=0), _PATCH * float(np.linalg.norm(eyes[1] - eyes[0]))
    else:
        centre, half = box[:2] + box[2:] / 2, _PATCH_OF_BOX * float(box[2])
    low = np.clip(np.floor((centre - half) * scale), 0, None).astype(int)
    high = np.clip(np.ceil((centre + half) * scale), 0, None).astype(int)
    return depth[low[1] : high[1], low[0] : high[0]]
