"""The five landmarks of a generic head in metres, how people differ from it, and the size of heads by age.

The head's frame is `face_<id>` of REP-155: x out of the face, y to the person's left, z up, the origin at the sellion,
for which the middle between the eyes stands.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

ADULT_PUPILS: Final = (0.06336, 0.00383)
"""Distance between the pupils of adults: mean and standard deviation in metres (Dodgson, 2004, of ANSUR)."""
CHILD_SPREAD: Final = 0.055
"""Standard deviation of the distance between children's pupils of one age, as a fraction of it."""
ANYBODY: Final = (30.0, 20.0)
"""Age in years that is assumed for a face whose age is not known: mean and standard deviation."""
_CHILD_UNTIL: Final = 16.0
_ADULT_FROM: Final = 22.0
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
_WEIGHTS /= _WEIGHTS.sum()

POINTS: Final[NDArray[np.float64]] = np.array(
    [
        [-0.012, -0.0315, -0.003],  # right eye
        [-0.012, 0.0315, -0.003],  # left eye
        [0.022, 0.0, -0.038],  # tip of the nose
        [-0.009, -0.0266, -0.065],  # right corner of the mouth
        [-0.009, 0.0266, -0.065],  # left corner of the mouth
    ]
)
"""float64 (5, 3): the landmarks, in the order of `Detection.landmarks`, of an adult whose pupils are 63 mm apart.

Heights and widths are the means of what YuNet finds on frontal studio portraits, so that these have a pitch of 0.
"""
PUPILS: Final = float(POINTS[1, 1] - POINTS[0, 1])

MODES: Final[NDArray[np.float64]] = np.zeros((5, 5, 3))
"""float64 (M, 5, 3): ways in which faces differ, each by one standard deviation, in metres."""
MODES[0, 2, 0] = 0.003  # the nose stands out more
# The nose is higher. It differs by 0.002 among people, but a detector moves it by a fraction only of what a nod does.
MODES[1, 2, 2] = 0.012
MODES[2, 3:, 2] = 0.0045  # the mouth is higher
MODES[3, 3:, 0] = 0.003  # the mouth lies further in front
MODES[4, 3:, 1] = (-0.004, 0.004)  # the mouth is wider, by a smile too


def pupil_distance(age: float, age_stddev: float) -> tuple[float, float]:
    """Return the distance between the pupils in metres, and its standard deviation among people of an age.

    Children: the mean of boys and girls of MacLachlan and Howland (2002), 1 month to 19 years; adults: Dodgson (2004).
    The uncertainty of the age is part of the deviation.

    Args:
        age: in years; NaN if it is not known, then anybody's.
        age_stddev: standard deviation of the age in years.

    >>> [round(1000 * pupil_distance(age, 1.0)[0]) for age in (1, 6, 12, 40)]
    [44, 52, 58, 63]
    >>> round(1000 * pupil_distance(float("nan"), float("nan"))[1], 1) > 1000 * ADULT_PUPILS[1]
    True
    """
    if math.isnan(age):
        age, age_stddev = ANYBODY
    ages = np.clip(age + (0.0 if math.isnan(age_stddev) else age_stddev) * _NODES, 0, None)
    means, spreads = _pupils(ages)
    mean = float(_WEIGHTS @ means)
    return mean, float(np.sqrt(_WEIGHTS @ (spreads**2 + (means - mean) ** 2)))


def _pupils(ages: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of the distance between the pupils for ages, each (N,)."""
    young = np.minimum(ages, _CHILD_UNTIL)
    boys, girls = 43.36 + 1.663 * young - 0.034 * young**2, 41.76 + 1.891 * young - 0.052 * young**2
    child = (boys + girls) / 2000
    grown = np.clip((ages - _CHILD_UNTIL) / (_ADULT_FROM - _CHILD_UNTIL), 0, 1)
    mean, spread = ADULT_PUPILS
    return child + grown * (mean - child), CHILD_SPREAD * child + grown * (spread - CHILD_SPREAD * child)
