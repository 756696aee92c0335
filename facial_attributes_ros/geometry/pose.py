"""Where the faces of an image are and where their heads point: from detections and a calibrated camera to poses."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import Detection, FaceAttributes
from facial_attributes_ros.geometry.camera import Camera, unit
from facial_attributes_ros.geometry.fit import FRONTAL, Fit, fit_heads
from facial_attributes_ros.geometry.head import PUPILS, pupil_distance
from facial_attributes_ros.imaging.mounting import UPRIGHT, down_direction

WIDEST_TURN: Final = math.radians(50)
"""A head that is turned further away from the camera has no orientation: the landmarks of its far side are guesses."""
LARGEST_DEVIATION: Final = math.radians(15)
"""An orientation with a larger standard deviation of yaw or pitch is not given."""
WORST_MISFIT: Final = 6.0
"""Landmarks that deviate more from any head, as a mean square in standard deviations, give no orientation."""
HEAD_TURN: Final = math.radians(40)
"""Standard deviation by which a head turns in a second, for orientations that are held."""
SHAPE_SPREAD: Final = 0.05
"""Standard deviation that differences of shape beyond those of the fit add to a distance, as a fraction of it."""
BOX_WIDTH: Final = 2.15
"""Width of the box of a frontal face in distances between the pupils, for faces without landmarks."""
BOX_SPREAD: Final = 0.15
"""Standard deviation of that width as a fraction of it: boxes vary with the detector and the pose."""

Array = NDArray[np.float64]
_NARROWEST: Final = 1e-4
"""Smallest angle between the eyes in radians; landmarks that coincide are none."""
_UNKNOWN: Final = np.full(3, np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class FacePose:
    """Where one face is, in the optical frame of the camera (x right, y down, z ahead).

    Attributes:
        id: of the face, as in `FaceAttributes`.
        bearing: float64 (3,): unit vector to the middle between the eyes, or to the centre of the box where there are
            no landmarks.
        distance: along the bearing in metres; NaN if it is not known.
        distance_stddev: standard deviation in metres.
        rotation: float64 (3, 3): from the frame of `head` to the optical frame; NaN if it is not known.
        angles: float64 (3,): yaw, pitch and roll in radians relative to a head that faces the camera upright, as
            rotations about the head's z, then y, then x axis; NaN if they are not known.
        angles_stddev: float64 (3,): their standard deviations.
        facing: probability that the head points to the camera; NaN if it is not known.
        held: seconds since the detector last found the face.
        from_depth: whether the distance was measured by a depth image.
    """

    id: str
    bearing: Array
    distance: float
    distance_stddev: float
    rotation: Array
    angles: Array
    angles_stddev: Array
    facing: float
    held: float = 0.0
    from_depth: bool = False

    @property
    def position(self) -> Array:
        """Position of the middle between the eyes in metres, float64 (3,); NaN if the distance is not known."""
        return self.bearing * self.distance

    @property
    def placed(self) -> bool:
        """Whether both distance and orientation are known."""
        return bool(np.isfinite(self.distance) and np.isfinite(self.rotation).all())


def face_poses(
    camera: Camera, faces: Sequence[FaceAttributes], facing_angle: float, mounting: str = UPRIGHT
) -> list[FacePose]:
    """Return the poses of the faces of one image, in their order.

    Args:
        camera: whose image it is.
        faces: detections and estimated ages.
        facing_angle: in radians; a head that points to the camera within this angle faces it.
        mounting: how the camera is turned, one of `imaging.mounting.MOUNTINGS`; it decides what upright is.
    """
    if not faces:
        return []
    pixels = np.stack([_pixels(face.detection) for face in faces])
    rays = camera.rays(pixels.reshape(-1, 2)).reshape(len(faces), -1, 3)
    seen = np.isfinite(rays[:, :5]).all(axis=(1, 2)) & (np.linalg.norm(rays[:, 1] - rays[:, 0], axis=1) > _NARROWEST)
    bearings = unit(np.where(seen[:, None], rays[:, :2].sum(axis=1), rays[:, 5]))
    views = _views(bearings, down_direction(mounting))
    widths = np.arccos(np.clip((rays[:, 6] * rays[:, 7]).sum(axis=1), -1, 1))  # of the boxes, as angles
    sizes = [pupil_distance(face.age, face.age_stddev) for face in faces]
    poses = [_boxed(*each) for each in zip(faces, bearings, widths, sizes, strict=True)]
    chosen = [place for place in range(len(faces)) if seen[place]]
    if chosen:
        local = rays[chosen, :5] @ views[chosen].transpose(0, 2, 1)
        scale = widths[chosen] / [faces[place].detection.box[2] for place in chosen]
        scores = np.array([faces[place].detection.score for place in chosen], np.float64)
        fit = fit_heads(local[..., :2] / local[..., 2:], scale, scores)
        for row, place in enumerate(chosen):
            poses[place] = _fitted(poses[place], fit, row, sizes[place], views[place], facing_angle)
    return poses


def quaternion(rotation: Array) -> Array:
    """Return the unit quaternion x, y, z, w of a rotation matrix (3, 3), with w >= 0; NaN for NaN.

    The matrix's largest eigenvector in the form of Bar-Itzhack (2000), which is exact for every rotation.
    """
    if not np.isfinite(rotation).all():
        return np.full(4, np.nan)
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    matrix = np.array(
        [
            [xx - yy - zz, yx + xy, zx + xz, zy - yz],
            [yx + xy, yy - xx - zz, zy + yz, xz - zx],
            [zx + xz, zy + yz, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    found = np.linalg.eigh(matrix)[1][:, -1]
    return np.asarray(found if found[3] >= 0 else -found, np.float64)


def _pixels(detection: Detection) -> Array:
    """Return the five landmarks, and the centre and the middles of the left and right side of the box, (8, 2)."""
    x, y, width, height = (float(value) for value in detection.box)
    middle = y + height / 2
    box = [[x + width / 2, middle], [x, middle], [x + width, middle]]
    return np.concatenate([detection.landmarks, box]).astype(np.float64)


def _views(bearings: Array, down: Sequence[float]) -> Array:
    """Return the rotations (N, 3, 3) from the optical frame to views whose z axis is the bearing and that are upright.

    Args:
        bearings: (N, 3) unit vectors.
        down: (3,) direction in the optical frame.
    """
    side = np.cross(down, bearings)
    # Looking straight down, any direction may count as the right.
    side = np.where(np.linalg.norm(side, axis=1, keepdims=True) > 1e-6, side, (1.0, 0.0, 0.0))
    right = unit(side - (side * bearings).sum(axis=1, keepdims=True) * bearings)
    return np.stack([right, np.cross(bearings, right), bearings], axis=1)


def _boxed(face: FaceAttributes, bearing: Array, width: float, pupils: tuple[float, float]) -> FacePose:
    """Return what the box alone says: a rough distance."""
    size, spread = pupils
    distance = BOX_WIDTH * size / (2 * math.tan(width / 2)) if 0 < width < math.pi else math.nan
    deviation = distance * math.hypot(BOX_SPREAD, spread / size)
    nothing = np.full((3, 3), np.nan)
    held = face.detection.held
    return FacePose(face.id, bearing, distance, deviation, nothing, _UNKNOWN, _UNKNOWN, math.nan, held)


def _fitted(
    boxed: FacePose, fit: Fit, row: int, pupils: tuple[float, float], view: Array, facing_angle: float
) -> FacePose:
    """Return what the landmarks say about a face."""
    size, spread = pupils
    distance = float(fit.distance[row]) * size / PUPILS
    deviation = distance * math.hypot(math.sqrt(fit.covariance[row, 3, 3]), spread / size, SHAPE_SPREAD)
    turning = np.diag(np.full(3, (HEAD_TURN * boxed.held) ** 2))
    covariance, rotation = fit.covariance[row, :3, :3] + turning, fit.rotation[row]
    angles, deviations = _angles(rotation, covariance)
    away = math.acos(np.clip(-rotation[2, 0], -1, 1))
    honest = away <= WIDEST_TURN and deviations[:2].max() <= LARGEST_DEVIATION and fit.misfit[row] <= WORST_MISFIT
    return FacePose(
        id=boxed.id,
        bearing=boxed.bearing,
        distance=distance,
        distance_stddev=deviation,
        rotation=view.T @ rotation if honest else boxed.rotation,
        angles=angles if honest else _UNKNOWN,
        angles_stddev=deviations if honest else _UNKNOWN,
        facing=_facing(facing_angle, rotation[:, 0], np.sqrt(np.diag(covariance)[:2])),
        held=boxed.held,
    )


def _angles(rotation: Array, covariance: Array) -> tuple[Array, Array]:
    """Return yaw, pitch and roll of a head in its view, and their standard deviations, each (3,) in radians."""
    turned = FRONTAL.T @ rotation
    yaw, pitch = math.atan2(turned[1, 0], turned[0, 0]), -math.asin(np.clip(turned[2, 0], -1, 1))
    roll = math.atan2(turned[2, 1], turned[2, 2])
    # What a small rotation about each of the three axes is, about the axes of the frontal head.
    axes = np.array(
        [
            [0, -math.sin(yaw), math.cos(yaw) * math.cos(pitch)],
            [0, math.cos(yaw), math.sin(yaw) * math.cos(pitch)],
            [1, 0, -math.sin(pitch)],
        ]
    )
    rates = np.linalg.pinv(axes) @ FRONTAL.T
    deviations = np.sqrt(np.diag(rates @ covariance @ rates.T))
    return np.array([yaw, pitch, roll]), deviations


def _facing(limit: float, ahead: Array, deviations: Array) -> float:
    """Return the probability that a head points to the camera within an angle.

    Args:
        limit: the angle in radians.
        ahead: (3,) direction of the head in its view; the camera is at (0, 0, -1).
        deviations: (2,) standard deviations of the direction up or down, and to the side, in radians.
    """
    away = math.acos(np.clip(-ahead[2], -1, 1))
    aside, down = away * ahead[:2] / max(math.hypot(ahead[0], ahead[1]), 1e-9)
    heights = np.linspace(-limit, limit, 41)
    density = np.exp(-(((heights - down) / deviations[0]) ** 2) / 2) / (deviations[0] * math.sqrt(2 * math.pi))
    half = np.sqrt(limit**2 - heights**2)
    ends = [(sign * half - aside) / (deviations[1] * math.sqrt(2)) for sign in (1, -1)]
    high, low = ([math.erf(value) for value in end] for end in ends)
    inside = (np.array(high) - np.array(low)) / 2
    return min(float((density * inside).sum() * (heights[1] - heights[0])), 1.0)
