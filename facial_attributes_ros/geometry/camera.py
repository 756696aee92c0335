"""A calibrated camera: from pixels to directions in its optical frame and back.

The optical frame has x to the right, y down and z along the optical axis (REP-103). The lens models are those of ROS:
`plumb_bob` and `rational_polynomial` are OpenCV's pinhole models, `equidistant` is OpenCV's fisheye model (Kannala and
Brandt, 2006), here for directions beyond 90° from the axis too.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from facial_attributes_ros.errors import UserError

PINHOLE: Final = ("", "none", "plumb_bob", "rational_polynomial")
EQUIDISTANT: Final = "equidistant"

_STEPS: Final = 20
"""Largest number of Newton steps; few are needed but near the border of what a lens can show."""
_EXACT: Final = 1e-10
"""A step below this, in focal lengths or radians, ends the iteration."""

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """The calibration of a camera's images.

    Attributes:
        width: of the images in pixels.
        height: of the images in pixels.
        matrix: float64 (3, 3): focal lengths and optical centre in pixels of these images.
        distortion: float64 (n,): coefficients of the lens, in OpenCV's order.
        fisheye: True for the equidistant model, False for the pinhole models.
    """

    width: int
    height: int
    matrix: Points
    distortion: Points
    fisheye: bool = False

    def rays(self, pixels: ArrayLike) -> Points:
        """Return the directions of pixels as unit vectors of the optical frame, float64 (N, 3).

        Where no direction is shown at a pixel, beyond the border of what the lens model covers, it is the nearest one
        that the iteration finds. NaN gives NaN.

        Args:
            pixels: (N, 2) x, y in pixels.
        """
        points = np.asarray(pixels, np.float64).reshape(-1, 2)
        focal, centre = self.matrix[[0, 1], [0, 1]], self.matrix[:2, 2]
        distorted = (points - centre) / focal
        distorted[:, 0] -= self.matrix[0, 1] / focal[0] * distorted[:, 1]
        if self.fisheye:
            return _fisheye_rays(distorted, self.distortion)
        plane = _undistorted(distorted, self.distortion)
        return unit(np.concatenate([plane, np.ones((len(plane), 1))], axis=1))

    def project(self, points: ArrayLike) -> Points:
        """Return the pixels that show points of the optical frame, float64 (N, 2).

        NaN for what is behind a pinhole camera.

        Args:
            points: (N, 3); their unit does not matter.
        """
        vectors = np.asarray(points, np.float64).reshape(-1, 3)
        if self.fisheye:
            distorted = _fisheye_plane(vectors, self.distortion)
        else:
            depth = np.where(vectors[:, 2] > 0, vectors[:, 2], np.nan)
            distorted = _distorted(vectors[:, :2] / depth[:, None], self.distortion)[0]
        return distorted @ self.matrix[:2, :2].T + self.matrix[:2, 2]


def camera_of(info: Any, rectified: bool = False) -> Camera:
    """Return the camera that a calibration describes.

    Binning and region of interest are applied, so that width and height are those of the images. Its projection matrix
    is for rectified images; raw images have the intrinsic matrix and the lens.

    Args:
        info: a `sensor_msgs/CameraInfo`, or anything with its fields.
        rectified: whether the images are rectified.

    Raises:
        UserError: the camera is not calibrated, or its lens model is unknown.

    >>> from types import SimpleNamespace
    >>> roi = SimpleNamespace(x_offset=160, y_offset=0, width=320, height=480)
    >>> info = SimpleNamespace(width=640, height=480, distortion_model="plumb_bob", d=[0.1, 0, 0, 0, 0],
    ...     k=[500, 0, 320, 0, 500, 240, 0, 0, 1], binning_x=2, binning_y=2, roi=roi)
    >>> camera = camera_of(info)
    >>> camera.width, camera.height, float(camera.matrix[0, 0]), camera.matrix[:2, 2].tolist()
    (160, 240, 250.0, [80.0, 120.0])
    """
    values = np.reshape(info.p, (3, 4))[:, :3] if rectified else np.reshape(info.k, (3, 3))
    matrix = np.array(values, np.float64)
    if not (np.isfinite(matrix).all() and matrix[0, 0] and matrix[1, 1]):
        raise UserError("The camera is not calibrated: its camera_info has no focal length.")
    roi, binning = info.roi, (max(info.binning_x, 1), max(info.binning_y, 1))
    width, height = roi.width or info.width, roi.height or info.height
    matrix[:2, 2] -= (roi.x_offset, roi.y_offset)
    matrix[:2] /= np.reshape(binning, (2, 1))
    distortion = np.zeros(0) if rectified else np.array(info.d, np.float64)
    fisheye = not rectified and info.distortion_model == EQUIDISTANT
    if not rectified:
        _check_lens(info.distortion_model, distortion)
    return Camera(width // binning[0], height // binning[1], matrix, distortion, fisheye)


def _check_lens(model: str, distortion: Points) -> None:
    sizes = (4,) if model == EQUIDISTANT else (0, 4, 5, 8, 12, 14)
    known = model in (*PINHOLE, EQUIDISTANT)
    if known and len(distortion) in sizes and np.isfinite(distortion).all():
        return
    if not known and not distortion.any():  # some drivers name the lens of images that have none
        return
    raise UserError(
        f"The lens model {model} with {len(distortion)} coefficients in camera_info is not known here: publish "
        "plumb_bob, rational_polynomial or equidistant, or rectify the images."
    )


def unit(vectors: ArrayLike) -> Points:
    """Return vectors (..., 3) at length 1."""
    values = np.asarray(vectors, np.float64)
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), np.float64)


def _distorted(plane: Points, distortion: Points) -> tuple[Points, Points]:
    """Return where the lens shows points (N, 2) of the plane z = 1, and the derivatives (N, 2, 2)."""
    if not distortion.any() or not len(plane):
        return plane, np.broadcast_to(np.eye(2), (len(plane), 2, 2))
    points, zero = np.concatenate([plane, np.ones((len(plane), 1))], axis=1), np.zeros(3)
    pixels, jacobian = cv2.projectPoints(points[:, None], zero, zero, np.eye(3), distortion)
    # The columns 3 and 4 are the derivatives by a shift of the points.
    slopes = np.asarray(jacobian, np.float64).reshape(-1, 2, jacobian.shape[1])[:, :, 3:5]
    return np.asarray(pixels, np.float64).reshape(-1, 2), slopes


def _undistorted(distorted: Points, distortion: Points) -> Points:
    """Return the points (N, 2) of the plane z = 1 that the lens shows at given points: Newton's method, damped."""
    plane = distorted.copy()
    valid = np.isfinite(plane).all(axis=1)
    for _ in range(_STEPS):
        seen, slope = _distorted(plane[valid], distortion)
        regular = slope + 1e-9 * np.eye(2)
        step = np.linalg.solve(regular, (distorted[valid] - seen)[..., None])[..., 0]
        length = np.linalg.norm(step, axis=1, keepdims=True)
        plane[valid] += step * np.minimum(1, 0.3 / np.maximum(length, _EXACT))
        if not length.size or length.max() < _EXACT:
            break
    return plane


def _fisheye_rays(distorted: Points, distortion: Points) -> Points:
    """Return unit vectors (N, 3) for points (N, 2) of the equidistant plane."""
    radius = np.linalg.norm(distorted, axis=1)
    angle = np.minimum(radius, np.pi)
    for _ in range(_STEPS):
        shown, slope = _fisheye_radius(angle, distortion)
        step = np.clip((radius - shown) / np.where(np.abs(slope) > 1e-9, slope, 1e-9), -0.3, 0.3)
        angle = np.clip(angle + step, 0, np.pi)
        if not step.size or np.nanmax(np.abs(step), initial=0) < _EXACT:
            break
    sine = np.where(radius > 0, np.sin(angle) / np.where(radius > 0, radius, 1), 1)
    return unit(np.concatenate([distorted * sine[:, None], np.cos(angle)[:, None]], axis=1))


def _fisheye_plane(vectors: Points, distortion: Points) -> Points:
    """Return points (N, 2) of the equidistant plane for vectors (N, 3)."""
    across = np.linalg.norm(vectors[:, :2], axis=1)
    radius, _ = _fisheye_radius(np.arctan2(across, vectors[:, 2]), distortion)
    return vectors[:, :2] * (radius / np.where(across > 0, across, 1))[:, None]


def _fisheye_radius(angle: Points, distortion: Points) -> tuple[Points, Points]:
    """Return the distances (N,) from the centre, in focal lengths, of angles (N,) to the axis; and the derivatives."""
    powers = np.arange(1, 2 * len(distortion) + 2, 2)
    factors = np.concatenate([[1.0], distortion])
    shown = (factors * angle[:, None] ** powers).sum(axis=1)
    slope = (factors * powers * angle[:, None] ** (powers - 1)).sum(axis=1)
    return shown, slope
