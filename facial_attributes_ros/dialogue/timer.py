"""Whether something has held for long enough."""

from dataclasses import dataclass


@dataclass(slots=True)
class Timer:
    """Follows whether something holds; it begins and ends with a delay, and a short gap does not start it anew.

    Attributes:
        holds: whether it holds now.
        time: seconds that speak for a change, those against it taken away.
        since: stamp at which it began to hold.
        probability: that it was met with when it began.

    >>> timer = Timer()
    >>> [timer.step(0.9, 1.0, now, needed=2.0, release=1.0) for now in (1.0, 2.0, 3.0)]
    [False, True, True]
    >>> timer.step(0.0, 1.0, 4.0, needed=2.0, release=1.0)
    False
    """

    holds: bool = False
    time: float = 0.0
    since: float = 0.0
    probability: float = 0.0

    def step(self, probability: float, seconds: float, now: float, needed: float, release: float) -> bool:
        """Count one more step, and return whether it holds.

        Args:
            probability: that it is met with; 0 if it is not met.
            seconds: that the step counts.
            now: stamp of the step.
            needed: seconds that it has to be met to begin.
            release: seconds that it has to be unmet to end.
        """
        met = probability > 0
        self.time = max(self.time + (seconds if met != self.holds else -seconds), 0.0)
        if met and not self.holds and self.time >= needed:
            self.holds, self.time, self.since, self.probability = True, 0.0, now, probability
        elif self.holds and not met and self.time >= release:
            self.holds, self.time = False, 0.0
        return self.holds
