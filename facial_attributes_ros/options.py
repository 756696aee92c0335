"""Every setting of the frame pipeline. All times are in seconds, so that nothing depends on the frame rate."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, TASKS
from facial_attributes_ros.errors import UserError


def _check_positive(section: str, values: Mapping[str, float]) -> None:
    for name, value in values.items():
        if not value > 0:
            raise UserError(f"{section} {name} must be above 0, not {value}.")


@dataclass(frozen=True, slots=True)
class TrackingOptions:
    """How detections become tracks.

    Attributes:
        birth_score: detections from this score on may begin a track; weaker ones only continue one.
        birth_within: seconds within which a face must be seen twice to become a track. Of a camera that is slower than
            that, two frames in a row do.
        death_after: seconds without a detection, and one frame, after which a track ends. Raising it bridges longer
            occlusions and risks giving a newcomer somebody else's id.
        acceleration: how quickly faces change their velocity, in face sizes per second and square root of second.
            Raising it follows sudden motion better and keeps a course through occlusions worse.
        box_noise: standard deviation of a detected box's centre and size, as a share of the face size.
        gate: largest distance, in standard deviations, between a detection and the track it continues.
    """

    birth_score: float = 0.7
    birth_within: float = 0.15
    death_after: float = 1.0
    acceleration: float = 1.8
    box_noise: float = 0.05
    gate: float = 4.5

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UserError: a value is out of its range.
        """
        if not 0 <= self.birth_score <= 1:
            raise UserError(f"Tracking birth_score must be between 0 and 1, not {self.birth_score}.")
        names = ("birth_within", "death_after", "acceleration", "box_noise", "gate")
        _check_positive("Tracking", {name: getattr(self, name) for name in names})


@dataclass(frozen=True, slots=True)
class FusionOptions:
    """How estimates of one track become one belief.

    Attributes:
        age_memory: seconds after which an age estimate counts e times less. Raising it makes the age surer and
            steadier, and an error at the beginning lasts longer.
        gender_memory: the same for the gender.
        emotion_memory: mean seconds for which an emotion lasts. Raising it flickers less and follows changes later.
        correlation: seconds over which the model's errors on one face resemble each other; estimates closer than that
            count less. Raising it makes the belief surer later.
        emotion_correlation: the same for the emotion. Raising it flickers less and follows changes later.
        switch_odds: how many times as probable as the label another one must be to take its place. Raising it
            flickers less and follows changes later.
    """

    age_memory: float = 60.0
    gender_memory: float = 60.0
    emotion_memory: float = 3.0
    correlation: float = 0.5
    emotion_correlation: float = 0.5
    switch_odds: float = 6.5

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UserError: a value is out of its range.
        """
        _check_positive("Fusion", {name: getattr(self, name) for name in self.__dataclass_fields__})
        if not self.switch_odds >= 1:
            raise UserError(f"Fusion switch_odds must be at least 1, not {self.switch_odds}.")

    @property
    def memory(self) -> dict[str, float]:
        """Memory in seconds of every task."""
        return {AGE: self.age_memory, GENDER: self.gender_memory, EMOTION: self.emotion_memory}

    @property
    def correlations(self) -> dict[str, float]:
        """Correlation in seconds of every task."""
        return {AGE: self.correlation, GENDER: self.correlation, EMOTION: self.emotion_correlation}


@dataclass(frozen=True, slots=True)
class SchedulingOptions:
    """How many estimates are made, and of whom.

    Attributes:
        budget: seconds of model time a frame; at least one face a frame is estimated whatever it costs.
        age_rate: estimates a second of each track's age; likewise for the other tasks. All switched-on tasks of a face
            are estimated together, at the highest of their rates.
        gender_rate: estimates a second of the gender.
        emotion_rate: estimates a second of the emotion.
        max_wait: a track that has waited this many seconds goes before all others, in turns with new ones.
        max_batch: most faces in one batch.
    """

    budget: float = 0.03
    age_rate: float = 2.0
    gender_rate: float = 2.0
    emotion_rate: float = 10.0
    max_wait: float = 1.0
    max_batch: int = 32

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UserError: a value is out of its range.
        """
        names = ("budget", "age_rate", "gender_rate", "emotion_rate", "max_wait", "max_batch")
        _check_positive("Scheduling", {name: getattr(self, name) for name in names})

    @property
    def rates(self) -> dict[str, float]:
        """Estimates a second of every task."""
        return {AGE: self.age_rate, GENDER: self.gender_rate, EMOTION: self.emotion_rate}


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """Every setting of the frame pipeline.

    Attributes:
        tasks: the tasks that are switched on; the others cost nothing and stay unknown.
        detect_every: the detector runs on every n-th frame, tracks are predicted on the others.
        tracking: how detections become tracks.
        fusion: how estimates become one belief.
        scheduling: how many estimates are made, and of whom.
        thresholds: per task, the probability below which a label is unknown; the model's own where there is none.
    """

    tasks: tuple[str, ...] = TASKS
    detect_every: int = 1
    tracking: TrackingOptions = field(default_factory=TrackingOptions)
    fusion: FusionOptions = field(default_factory=FusionOptions)
    scheduling: SchedulingOptions = field(default_factory=SchedulingOptions)
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UserError: a value is out of its range.
        """
        unknown = set(self.tasks) - set(TASKS)
        if unknown:
            raise UserError(f"There is no task {', '.join(sorted(unknown))}; the tasks are {', '.join(TASKS)}.")
        if self.detect_every < 1:
            raise UserError(f"detect_every must be at least 1, not {self.detect_every}.")
