"""Which faces the model looks at in this frame: the model costs far more than a frame's time for many faces."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from facial_attributes_ros.options import SchedulingOptions

_EARLY = 0.9
"""Share of its interval after which a face is due; cameras are not exact, and a frame late is a frame lost."""

_NEW_COST = 0.3
"""Weight of the newest measurement in the running cost of a face."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A face in view, as the scheduler sees it.

    Attributes:
        estimated: whether the model has ever looked at it for all tasks that are wanted.
        waited: seconds since it last did, or since the face appeared.
        overdue: `waited` as a multiple of the interval at which the face is to be looked at, and the `delay` that the
            last look left; it is due about 1.
        uncertainty: of what is believed of it, 0 (sure) to 1.
    """

    estimated: bool
    waited: float
    overdue: float
    uncertainty: float


def delay(overdue: float) -> float:
    """Return how late a look comes that is taken now, in intervals; the next comes as much sooner.

    So rates hold on average where no frame comes at the right moment. Whole intervals are not made up for: a slow
    camera and a crowd owe nobody what they missed.

    Args:
        overdue: as of `Candidate`.
    """
    late = overdue - 1
    return max(late, _EARLY - 1) if late < 1 else 0.0


class Scheduler:
    """Chooses the faces of the next batch within a budget of model time.

    The order is: new faces; then the most uncertain; then the oldest estimates. Whoever has waited too long, the
    longest first, takes turns with new faces before all others, so that with however many newcomers no estimate grows
    older than the time at which that begins plus two rounds of everybody in view.
    """

    def __init__(self, options: SchedulingOptions | None = None) -> None:
        """Begin without knowing what a face costs."""
        self.options = options or SchedulingOptions()
        self._cost: float | None = None
        self._late_first = False

    @property
    def batch(self) -> int:
        """Number of faces that fit into the budget of one frame, at least one."""
        if self._cost is None:
            return 1
        return max(1, min(int(self.options.budget / max(self._cost, 1e-9)), self.options.max_batch))

    def choose(self, candidates: Sequence[Candidate]) -> list[int]:
        """Return the indices of the faces to look at now, the most urgent first; those not yet due are left out."""
        due = [index for index, face in enumerate(candidates) if not face.estimated or face.overdue >= _EARLY]
        due.sort(key=lambda index: -candidates[index].waited)
        new = [index for index in due if not candidates[index].estimated]
        late = [i for i in due if candidates[i].estimated and candidates[i].waited >= self.options.max_wait]
        turns = zip_longest(late, new) if self._late_first else zip_longest(new, late)
        order = [index for turn in turns for index in turn if index is not None]
        others = [index for index in due if index not in order]
        order += sorted(others, key=lambda index: -round(candidates[index].uncertainty, 1))
        chosen = order[: self.batch]
        # Where only one fits into a frame, they take turns from frame to frame.
        self._late_first = bool(chosen) and not candidates[chosen[-1]].estimated
        return chosen

    def spent(self, seconds: float, faces: int) -> None:
        """Learn what a batch of faces (one or more) has cost."""
        cost = seconds / faces
        self._cost = cost if self._cost is None else self._cost + _NEW_COST * (cost - self._cost)
