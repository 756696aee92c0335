"""The pose of heads from five landmarks: the most probable one, with its covariance.

Gauss-Newton for all faces at once. Unknown of each face are its rotation, its position, and how its shape differs from
the generic head (`head.MODES`); these and the rotation have normal priors. So what the shape leaves open, such as how
far a nose points up, is part of the covariance, which a plain PnP of five points can't give.

Positions are in units of the head's own size, its pupils being `head.PUPILS` apart: the size is not seen in an image.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.geometry.head import MODES, POINTS, PUPILS

LANDMARK_NOISE: Final = 0.03
"""Standard deviation of a landmark of a large face, in distances between the eyes of a frontal face."""
PIXEL_NOISE: Final = 0.5
"""Standard deviation of a landmark in pixels, which adds to it."""
SURE_SCORE: Final = 0.85
DOUBT: Final = 10.0
"""Below this score of the detector, the deviations grow by so much for each point of it: landmarks are guessed then."""
TURN_PRIOR: Final = (0.8, 0.25)
"""Standard deviations of the direction of heads, to the side and up or down, as sines of angles."""
TURNED: Final = 0.7
"""Angle to the line of sight, in radians, at which the deviations are twice those of a frontal head."""
_STEPS: Final = 12
_LONGEST: Final = 0.4
"""Largest rotation and relative change of distance in one step."""

Array = NDArray[np.float64]

FRONTAL: Final[Array] = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
"""Rotation from the head's frame to a view (x right, y down, z ahead) for a head that faces the camera upright."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Poses of N heads, each in a view of its own whose z axis points to the face.

    Attributes:
        rotation: float64 (N, 3, 3) from the head's frame to the view.
        distance: float64 (N,) of the origin, in metres, for heads of the generic size.
        covariance: float64 (N, 4, 4) of the rotation, as a small one about the axes of the view in radians, and of the
            logarithm of the distance.
        misfit: float64 (N,): mean square of the deviations from the model, in standard deviations; about 1 or less.
    """

    rotation: Array
    distance: Array
    covariance: Array
    misfit: Array


_EXACT: Final = 1e-3
"""A step below this, in radians or standard deviations, ends the iteration."""
_FREEDOM: Final = 6
"""Degrees of freedom of the deviations: ten coordinates and two priors of the rotation, less six of the pose."""


def fit_heads(points: Array, pixel: Array, scores: Array) -> Fit:
    """Return the most probable poses of heads.

    Args:
        points: float64 (N, 5, 2): the landmarks on the plane z = 1 of each face's view.
        pixel: float64 (N,): size of a pixel on this plane.
        scores: float64 (N,): of the detector, 0 to 1.
    """
    state = _State.start(points)
    doubt = 1 + DOUBT * np.maximum(SURE_SCORE - scores, 0)
    noise = doubt * np.hypot(LANDMARK_NOISE * PUPILS / state.distance, PIXEL_NOISE * pixel)
    for _ in range(_STEPS):
        information, gradient, _ = _normal_equations(state, points, noise)
        step = np.asarray(np.linalg.solve(information, gradient[..., None])[..., 0], np.float64)
        state = state.moved(step)
        if np.abs(step).max(initial=0) < _EXACT:
            break
    information, _, cost = _normal_equations(state, points, noise)
    # The landmarks of a turned head are less exact than those of a frontal one.
    away = np.arccos(np.clip(-state.rotation[:, 2, 0], -1, 1))
    turned = 1 + (away / TURNED) ** 2
    covariance = np.linalg.inv(information)[:, :4, :4] * (turned**2)[:, None, None]
    return Fit(state.rotation, state.distance, np.asarray(covariance, np.float64), cost / _FREEDOM)


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """What is estimated of N heads; in this order in steps: rotation, log distance, offset, shape.

    Attributes:
        rotation: (N, 3, 3) from the head's frame to the view.
        distance: (N,) of the origin along the view's z axis.
        offset: (N, 2) of the origin on the plane z = 1.
        shape: (N, M) in standard deviations of `MODES`.
    """

    rotation: Array
    distance: Array
    offset: Array
    shape: Array

    @classmethod
    def start(cls, points: Array) -> "_State":
        """Return frontal heads: the similarity transform of the generic head that fits best in the plane."""
        frontal = (POINTS @ FRONTAL.T)[:, :2] @ (1, 1j)
        seen = points @ (1, 1j)
        centred = frontal - frontal.mean()
        factor = (seen - seen.mean(axis=1, keepdims=True)) @ centred.conj() / (centred @ centred.conj())
        size = np.maximum(np.abs(factor), 1e-9)
        cosine, sine = factor.real / size, factor.imag / size
        lean = np.zeros((len(points), 3, 3))
        lean[:, 0, 0] = lean[:, 1, 1] = cosine
        lean[:, 1, 0], lean[:, 0, 1], lean[:, 2, 2] = sine, -sine, 1
        eyes = points[:, :2].mean(axis=1)
        return cls(lean @ FRONTAL, 1 / size, eyes, np.zeros((len(points), len(MODES))))

    def moved(self, step: Array) -> "_State":
        """Return the state after a step (N, 6 + M)."""
        length = np.abs(step[:, :4]).max(axis=1, keepdims=True)
        step = step * np.minimum(1, _LONGEST / np.maximum(length, 1e-12))
        turned = _rotations(step[:, :3]) @ self.rotation
        distance = self.distance * np.exp(step[:, 3])
        return _State(turned, distance, self.offset + step[:, 4:6], self.shape + step[:, 6:])


def _normal_equations(state: _State, points: Array, noise: Array) -> tuple[Array, Array, Array]:
    """Return information matrix (N, 6 + M, 6 + M), gradient (N, 6 + M) and cost (N,) at a state."""
    count, modes = len(points), len(MODES)
    turned = (POINTS + np.tensordot(state.shape, MODES, 1)) @ state.rotation.transpose(0, 2, 1)
    place = state.distance[:, None] * np.concatenate([state.offset, np.ones((count, 1))], axis=1)
    where = turned + place[:, None]
    shown = where[..., :2] / where[..., 2:]
    moves = np.zeros((count, 6 + modes, 5, 3))  # of the landmarks in space, for each unknown
    moves[:, 0, :, 1], moves[:, 0, :, 2] = -turned[..., 2], turned[..., 1]
    moves[:, 1, :, 0], moves[:, 1, :, 2] = turned[..., 2], -turned[..., 0]
    moves[:, 2, :, 0], moves[:, 2, :, 1] = -turned[..., 1], turned[..., 0]
    moves[:, 3] = place[:, None]
    moves[:, 4, :, 0] = moves[:, 5, :, 1] = state.distance[:, None]
    moves[:, 6:] = MODES @ state.rotation.transpose(0, 2, 1)[:, None]
    slopes = (moves[..., :2] - shown[:, None] * moves[..., 2:]) / where[:, None, :, 2:]
    slopes = (slopes / noise[:, None, None, None]).reshape(count, 6 + modes, 10)
    misses = ((points - shown) / noise[:, None, None]).reshape(count, 10)
    information = slopes @ slopes.transpose(0, 2, 1)
    gradient = (slopes @ misses[..., None])[..., 0]
    cost = (misses**2).sum(axis=1) + (state.shape**2).sum(axis=1)
    information[:, range(6, 6 + modes), range(6, 6 + modes)] += 1
    gradient[:, 6:] -= state.shape
    for prior, miss in _turn_priors(state.rotation[:, :, 0]):
        information[:, :3, :3] += prior[:, :, None] * prior[:, None]
        gradient[:, :3] += prior * miss[:, None]
        cost = cost + miss**2
    return information, gradient, cost


def _turn_priors(ahead: Array) -> list[tuple[Array, Array]]:
    """Return the slopes (N, 3) and deviations (N,) of the priors of the directions (N, 3) that heads point to."""
    x, y, z = ahead.T
    zero = np.zeros_like(x)
    turn, nod = TURN_PRIOR
    return [(np.stack([zero, z, -y], 1) / turn, -x / turn), (np.stack([-z, zero, x], 1) / nod, -y / nod)]


def _rotations(vectors: Array) -> Array:
    """Return the rotation matrices (N, 3, 3) of rotation vectors (N, 3): Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    cross = np.zeros((len(vectors), 3, 3))
    x, y, z = vectors.T
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -z, y, -x
    cross -= cross.transpose(0, 2, 1)
    safe = np.where(angle > 1e-9, angle, 1)
    return np.asarray(np.eye(3) + np.sin(safe) / safe * cross + (1 - np.cos(safe)) / safe**2 * (cross @ cross))
