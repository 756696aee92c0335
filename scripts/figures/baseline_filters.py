"""The two filters that fusion is compared with: a plain hidden Markov model, and an exponential average."""

import numpy as np
from numpy.typing import NDArray

_LEAST = 1e-9


def plain_markov(probabilities: NDArray[np.float64], interval: float, duration: float = 3.0) -> NDArray[np.int64]:
    """Return the most probable states of a hidden Markov model whose observations are independent.

    Args:
        probabilities: (faces, frames, classes) calibrated predictions.
        interval: seconds between frames.
        duration: mean duration of a state in seconds.

    Returns:
        (faces, frames).
    """
    uniform, kept = 1 / probabilities.shape[2], np.exp(-interval / duration)
    belief, found = np.full(probabilities[:, 0].shape, uniform), np.zeros(probabilities.shape[:2], np.int64)
    for frame in range(probabilities.shape[1]):
        belief = (kept * belief + (1 - kept) * uniform) * np.maximum(probabilities[:, frame], _LEAST)
        belief /= belief.sum(axis=1, keepdims=True)
        found[:, frame] = belief.argmax(axis=1)
    return found


def exponential_average(
    probabilities: NDArray[np.float64], interval: float, constant: float = 0.5
) -> NDArray[np.int64]:
    """Return the classes with the largest exponential averages of the log probabilities.

    Args:
        probabilities: (faces, frames, classes) calibrated predictions.
        interval: seconds between frames.
        constant: time constant in seconds.

    Returns:
        (faces, frames).
    """
    kept, logarithms = np.exp(-interval / constant), np.log(np.maximum(probabilities, _LEAST))
    mean, found = logarithms[:, 0], np.zeros(probabilities.shape[:2], np.int64)
    for frame in range(probabilities.shape[1]):
        mean = kept * mean + (1 - kept) * logarithms[:, frame]
        found[:, frame] = mean.argmax(axis=1)
    return found
