"""The motion of one face: a Kalman filter of constant velocity over the centre and size of its box.

The four numbers (centre x, centre y, width, height) are filtered independently. The velocity of each is disturbed by
white noise (Bar-Shalom, Li and Kirubarajan, Estimation with Applications to Tracking and Navigation, 2001, section
6.2). All rates are per second, and two predictions of half a step equal one of a whole step, so that nothing depends on
the frame rate. All lengths scale with the face, so that near and far faces behave alike.
"""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

_FIRST_SPEED = np.array([2.0, 2.0, 0.5, 0.5])
"""Standard deviation of an unknown velocity, in face sizes per second; sizes change more slowly than positions."""

_AGILITY = np.array([1.0, 1.0, 0.3, 0.3])
"""Factor on the acceleration for each of the four numbers."""

_GROWTH = 0.35
"""Boxes count as equally large if the logarithms of their sides differ by at most this."""

Vector = NDArray[np.float64]


class Motion:
    """Position, size and velocity of one face, with their variances.

    Attributes:
        state: float64 (4,): centre x, centre y, width, height in pixels.
        seen: the same of the last detection, shifted with the image since.
        velocity: float64 (4,): their rate of change, pixels per second.
    """

    def __init__(self, box: NDArray[np.float32], box_noise: float, acceleration: float) -> None:
        """Begin at a detected box.

        Args:
            box: (4,) x, y, width, height in pixels.
            box_noise: as in `TrackingOptions`.
            acceleration: as in `TrackingOptions`.
        """
        self.state = self.seen = _centred(box)
        self.velocity: Vector = np.zeros(4)
        self._box_noise = box_noise
        self._acceleration = acceleration
        self._variance: Vector = self._noise_variance()
        self._covariance: Vector = np.zeros(4)
        self._velocity_variance: Vector = (_FIRST_SPEED * self.size) ** 2

    @property
    def size(self) -> float:
        """Longer side in pixels."""
        return float(self.state[2:].max())

    @property
    def box(self) -> NDArray[np.float32]:
        """float32 (4,): x, y, width, height in pixels."""
        return np.concatenate([self.state[:2] - self.state[2:] / 2, self.state[2:]]).astype(np.float32)

    def predict(self, seconds: float) -> Self:
        """Predict the state some seconds later (0 or more); the variances grow."""
        disturbance = (self._acceleration * _AGILITY * self.size) ** 2
        self.state = self.state + seconds * self.velocity
        # A size stays positive, however long the face was not detected.
        self.state[2:] = np.maximum(self.state[2:], 1.0)
        self._variance = (
            self._variance
            + 2 * seconds * self._covariance
            + seconds**2 * self._velocity_variance
            + disturbance * seconds**3 / 3
        )
        self._covariance = self._covariance + seconds * self._velocity_variance + disturbance * seconds**2 / 2
        self._velocity_variance = self._velocity_variance + disturbance * seconds
        return self

    def move(self, x: float, y: float) -> None:
        """Shift by the motion of the whole image, x and y in pixels."""
        moved = np.array([x, y, 0.0, 0.0])
        self.state, self.seen = self.state + moved, self.seen + moved

    def correct(self, box: NDArray[np.float32]) -> None:
        """Update the state with a detected box, (4,) x, y, width, height in pixels."""
        self.seen = _centred(box)
        total = self._variance + self._noise_variance()
        innovation = self.seen - self.state
        gain, velocity_gain = self._variance / total, self._covariance / total
        self.state = self.state + gain * innovation
        self.state[2:] = np.maximum(self.state[2:], 1.0)
        self.velocity = self.velocity + velocity_gain * innovation
        self._velocity_variance = self._velocity_variance - velocity_gain * self._covariance
        self._covariance = (1 - gain) * self._covariance
        self._variance = (1 - gain) * self._variance

    def distances(self, boxes: NDArray[np.float32]) -> tuple[Vector, float]:
        """Return the distances of detected boxes from the predicted box.

        Args:
            boxes: (N, 4) x, y, width, height in pixels.

        Returns:
            Squared Mahalanobis distances, float64 (N,), and the logarithm of the determinant of their covariance, in
            units of the face size, which makes the distances of tracks with small and large variance comparable.
        """
        total = self._variance + self._noise_variance()
        return ((_centred(boxes) - self.state) ** 2 / total).sum(axis=1), float(np.log(total / self.size**2).sum())

    def leaps(self, boxes: NDArray[np.float32]) -> Vector:
        """Return the distances of detected boxes, (N, 4), from the last detection.

        float64 (N,), in face sizes; infinite for boxes of another size.
        """
        others = _centred(boxes)
        sizes = np.maximum(others[:, 2:].max(axis=1), self.seen[2:].max())
        growth = np.abs(np.log(others[:, 2:] / self.seen[2:])).max(axis=1)
        distances = np.linalg.norm((others - self.seen)[:, :2], axis=1) / sizes
        return np.where(growth <= _GROWTH, distances, np.inf)

    def _noise_variance(self) -> Vector:
        return np.full(4, (self._box_noise * self.size) ** 2)


def _centred(box: NDArray[np.float32]) -> Vector:
    box = np.asarray(box, np.float64)
    return np.concatenate([box[..., :2] + box[..., 2:] / 2, box[..., 2:]], axis=-1)
