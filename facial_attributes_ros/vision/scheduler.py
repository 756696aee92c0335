"""Which faces the model looks at in this frame: the model costs far more than a frame's time for many faces."""

from collections.abc import Sequence
from dataclasses import dataclass

from facial_attributes_ros.vision.options import SchedulingOptions

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
        overdue: `waited` as a multiple of the interval at which the face is to be looked at.
        uncertainty: of what is believed of it, 0 (sure) to 1.
    """

    estimated: bool
    waited: float
    overdue: float
    uncertainty: float


class Scheduler:
    """Chooses the faces of the next batch within a budget of model time.

    The order is: whoever has waited too long, the longest first; then new faces; then the most uncertain; then the
    oldest estimates. As too long waiting comes first of all, no estimate grows older than the time at which that
    begins plus one round of everybody in view.
    """

    def __init__(self, options: SchedulingOptions | None = None) -> None:
        """Begin without knowing what a face costs."""
        self.options = options or SchedulingOptions()
        self._cost: float | None = None

    @property
    def batch(self) -> int:
        """Number of faces that fit into the budget of one frame, at least one."""
        if self._cost is None:
            return 1
        return max(1, min(int(self.options.budget / max(self._cost, 1e-9)), self.options.max_batch))

    def choose(self, candidates: Sequence[Candidate]) -> list[int]:
        """Return the indices of the faces to look at now, the most urgent first; those not yet due are left out."""
        due = [index for index, face in enumerate(candidates) if not face.estimated or face.overdue >= _EARLY]
        return sorted(due, key=lambda index: self._urgency(candidates[index]))[: self.batch]

    def spent(self, seconds: float, faces: int) -> None:
        """Learn what a batch of faces (one or more) has cost."""
        cost = seconds / faces
        self._cost = cost if self._cost is None else self._cost + _NEW_COST * (cost - self._cost)

    def _urgency(self, face: Candidate) -> tuple[float, ...]:
        if face.waited >= self.options.max_wait:
            return (0, -face.waited)
        return (1, face.estimated, -round(face.uncertainty, 1), -face.waited)
