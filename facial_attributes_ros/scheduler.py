"""Which faces are estimated in this frame: for many faces, the model costs far more than the time of a frame.

The scheduler alone remembers when each track was last estimated.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from facial_attributes_ros.options import SchedulingOptions
from facial_attributes_ros.tracking.tracker import Track

_EARLY: Final = 0.9
"""Fraction of its interval after which an update is due; cameras are not exact, and a frame late is a frame lost."""

_NEW_COST: Final = 0.3
"""Weight of the newest measurement in the running cost of a face."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A track in view that may be estimated.

    Attributes:
        estimated: whether every wanted task has been estimated before.
        waited: seconds since the oldest of the last estimates, or since the track began.
        overdue: elapsed time divided by the task's update interval, plus the lateness carried over from the previous
            update, of the task for which it is largest; an update is due at 1.0.
        uncertainty: of the present belief, 0 (sure) to 1.
    """

    estimated: bool
    waited: float
    overdue: float
    uncertainty: float


@dataclass(slots=True, eq=False)
class _History:
    """When a track was estimated.

    Attributes:
        born: time in seconds at which the track began.
        last: time in seconds of the last estimate per task.
        late: lateness carried over from that estimate per task, in update intervals, see `carry_over`.
    """

    born: float
    last: dict[str, float] = field(default_factory=dict)
    late: dict[str, float] = field(default_factory=dict)


def carry_over(overdue: float) -> float:
    """Return the lateness of an update made now, in update intervals.

    It is credited to the next update, so that the mean rate is met where no frame comes at the right moment. Whole
    intervals that were missed, by a slow camera or in a crowd, are not credited.

    Args:
        overdue: as in `Candidate`.
    """
    late = overdue - 1
    return max(late, _EARLY - 1) if late < 1 else 0.0


class Scheduler:
    """Chooses the faces of the next batch within a budget of model time.

    The order is: new faces; then the most uncertain; then the oldest estimates. Faces that have waited longer than
    `max_wait` take turns with new faces before all others, the longest wait first, so that with any number of newcomers
    no estimate grows older than `max_wait` plus two rounds of all faces in view.
    """

    def __init__(self, options: SchedulingOptions | None = None) -> None:
        """Begin without any track, and without knowing what the estimate of a face costs."""
        self.options = options or SchedulingOptions()
        self._histories: dict[str, _History] = {}
        self._cost: float | None = None
        self._late_first = False

    @property
    def batch(self) -> int:
        """Number of faces that fit into the budget of one frame, at least one."""
        if self._cost is None:
            return 1
        return max(1, min(int(self.options.budget / max(self._cost, 1e-9)), self.options.max_batch))

    def due(self, tracks: Sequence[Track], tasks: Collection[str], stamp: float, uncertainty: ArrayLike) -> list[Track]:
        """Return the tracks to estimate now, the most urgent first.

        Args:
            tracks: in view, N of them.
            tasks: that are wanted; without any no track is due.
            stamp: time of the frame in seconds.
            uncertainty: (N,) of the present belief of each, 0 to 1.
        """
        if not tasks:
            return []
        pairs = zip(tracks, np.asarray(uncertainty, float), strict=True)
        candidates = [self._candidate(track, tasks, stamp, float(uncertain)) for track, uncertain in pairs]
        return [tracks[index] for index in self.choose(candidates)]

    def choose(self, candidates: Sequence[Candidate]) -> list[int]:
        """Return the indices of the candidates to estimate now, the most urgent first, as many as the budget allows."""
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

    def note(self, tracks: Iterable[Track], tasks: Iterable[str], stamp: float) -> None:
        """Record that tracks have been estimated for some tasks in the frame of this time in seconds."""
        tasks = tuple(tasks)
        for track in tracks:
            history = self._history(track)
            history.late |= {task: carry_over(self._overdue(history, task, stamp)) for task in tasks}
            history.last |= dict.fromkeys(tasks, stamp)

    def note_cost(self, seconds: float, faces: int) -> None:
        """Record the model time of a batch of one face or more."""
        cost = seconds / faces
        self._cost = cost if self._cost is None else self._cost + _NEW_COST * (cost - self._cost)

    def keep(self, ids: Collection[str]) -> None:
        """Forget all tracks but those with these ids."""
        self._histories = {key: history for key, history in self._histories.items() if key in ids}

    def _history(self, track: Track) -> _History:
        return self._histories.setdefault(track.id, _History(track.born))

    def _candidate(self, track: Track, tasks: Collection[str], stamp: float, uncertainty: float) -> Candidate:
        history = self._history(track)
        return Candidate(
            estimated=all(task in history.last for task in tasks),
            waited=stamp - min(history.last.get(task, history.born) for task in tasks),
            overdue=max(self._overdue(history, task, stamp) for task in tasks),
            uncertainty=uncertainty,
        )

    def _overdue(self, history: _History, task: str, stamp: float) -> float:
        elapsed = stamp - history.last.get(task, history.born)
        return elapsed * self.options.rates[task] + history.late.get(task, 0.0)
