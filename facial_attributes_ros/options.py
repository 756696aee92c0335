"""Every setting of the pipeline, once: default, range, unit and description. Times are in seconds, not in frames.

`setting.settings_of` reads the descriptions; the parameters of the perception node and their YAML are made from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.setting import check, setting


class _Checked:
    """Options whose values are checked when they are made."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: a value is out of its range.
        """
        check(self)


@dataclass(frozen=True, slots=True)
class DetectorOptions(_Checked):
    """How a detector searches an image."""

    group: ClassVar[str] = "detection"

    detection_size: int = setting(
        640,
        "Longest side of the scaled copy that is searched. "
        "A smaller one is faster, by the square, and misses small faces.",
        low=32,
        high=8192,
        unit="pixels",
        name="detection.size",
    )
    score_threshold: float = setting(
        0.4,
        "Lowest score of a detection that is kept. A higher value gives fewer false positives and misses more faces.",
        low=0,
        high=1,
        name="detection.score",
    )
    min_face: float = setting(
        16.0,
        "Smallest face that is kept: longer side of its box in the full image.",
        low=0,
        high=10_000,
        unit="pixels",
    )
    overlap_threshold: float = setting(
        0.3, "Boxes whose intersection over union is above this are one face.", low=0.001, high=1
    )
    enlarge_to: int = setting(
        0,
        "A smaller image is scaled up until its longest side has this length, which makes boxes in small images more "
        "exact; 0 never enlarges.",
        low=0,
        high=8192,
        unit="pixels",
    )
    padding: float = setting(
        0.0,
        "If no face is found, the image is searched again with a black border of this width, which finds faces that "
        "fill the image or reach past its border; 0 searches once.",
        low=0,
        high=10,
        unit="fraction of the image's longest side",
    )


CLOSE_UP: Final = DetectorOptions(detection_size=192, score_threshold=0.4, enlarge_to=192, padding=0.5)
"""For images that are loose crops of one face, as data sets have them."""

STILL: Final = replace(CLOSE_UP, detection_size=1024, score_threshold=0.6)
"""For photographs: a fine search, and as for close-ups where a face fills the image."""


@dataclass(frozen=True, slots=True)
class TrackingOptions(_Checked):
    """How detections become tracks."""

    group: ClassVar[str] = "tracking"

    birth_score: float = setting(
        0.7,
        "Lowest score of a detection that begins a track. Detections with a lower score only continue one.",
        low=0,
        high=1,
    )
    birth_within: float = setting(
        0.15,
        "Time within which a face must be detected twice to become a track. "
        "If the camera is slower than that, two successive images suffice.",
        low=0.001,
        high=10,
        unit="s",
    )
    death_after: float = setting(
        1.0,
        "Time without a detection, of at least one image, after which a track and its id end. "
        "A higher value bridges longer occlusions and may give a newcomer the id of somebody else.",
        low=0.01,
        high=60,
        unit="s",
    )
    acceleration: float = setting(
        1.8,
        "Process noise of the motion model. "
        "A higher value follows sudden motion better and predicts worse through occlusions.",
        low=0.01,
        high=100,
        unit="face sizes / s^1.5",
    )
    box_noise: float = setting(
        0.05,
        "Standard deviation of the centre and of the size of a detected box.",
        low=0.001,
        high=1,
        unit="face sizes",
    )
    gate: float = setting(
        4.5,
        "Gating distance: largest Mahalanobis distance between a detection and a predicted track.",
        low=0.5,
        high=100,
        unit="standard deviations",
    )


RECORDED: Final = TrackingOptions(birth_score=0.6)
"""For video files, where nobody waits for the first frames: a face is tracked from a lower score on."""


@dataclass(frozen=True, slots=True)
class FusionOptions(_Checked):
    """How the estimates of one track are fused."""

    group: ClassVar[str] = "fusion"

    age_memory: float = setting(
        60.0,
        "Time constant with which age estimates lose their weight. "
        "A higher value gives a steadier age and corrects an early error later.",
        low=0.01,
        high=3600,
        unit="s",
    )
    gender_memory: float = setting(
        60.0, "Time constant with which gender estimates lose their weight.", low=0.01, high=3600, unit="s"
    )
    emotion_memory: float = setting(
        3.0,
        "Mean duration of an emotion. A higher value gives fewer label changes and follows real changes later.",
        low=0.01,
        high=3600,
        unit="s",
    )
    correlation: float = setting(
        0.5,
        "Correlation time of the model's age and gender errors on one face. "
        "A higher value needs more time to become confident.",
        low=0.001,
        high=60,
        unit="s",
    )
    emotion_correlation: float = setting(
        0.5,
        "Correlation time of the model's emotion errors on one face. "
        "A higher value gives fewer label changes and follows real changes later.",
        low=0.001,
        high=60,
        unit="s",
    )
    switch_odds: float = setting(
        6.5,
        "Hysteresis: odds by which another label must exceed the present one to replace it. "
        "A higher value gives fewer label changes and follows real changes later.",
        low=1,
        high=1000,
    )
    emotion_prior: float = setting(
        0.3,
        "Fraction of the time for which people are neutral in the place of use; the others are equally frequent. "
        "It is applied once, however many estimates there are. The value 0.143 favours no emotion.",
        low=0.01,
        high=0.99,
    )
    resting_face: bool = setting(
        True,
        "Emotions are relative to the person: they are corrected for the resting face, which is estimated from a face "
        "while its expressions change, if the model has the measured facts for it.",
    )
    resting_face_memory: float = setting(
        120.0,
        "Time constant with which the estimate of the resting face loses its weight. "
        "A higher value is steadier and follows a change of light or pose later.",
        low=1,
        high=3600,
        unit="s",
    )

    @property
    def memory(self) -> dict[str, float]:
        """Memory in seconds of every task."""
        return {AGE: self.age_memory, GENDER: self.gender_memory, EMOTION: self.emotion_memory}

    @property
    def correlations(self) -> dict[str, float]:
        """Correlation time in seconds of every task."""
        return {AGE: self.correlation, GENDER: self.correlation, EMOTION: self.emotion_correlation}


@dataclass(frozen=True, slots=True)
class SchedulingOptions(_Checked):
    """How many estimates are made, and of which tracks.

    All tasks of a face that are switched on are estimated together, at the highest of their rates.
    """

    group: ClassVar[str] = "scheduling"

    budget: float = setting(
        0.03,
        "Model time for one image. At least one face is estimated, however long it takes.",
        low=0.001,
        high=10,
        unit="s",
    )
    age_rate: float = setting(2.0, "Age estimates of each face.", low=0.01, high=1000, unit="Hz")
    gender_rate: float = setting(2.0, "Gender estimates of each face.", low=0.01, high=1000, unit="Hz")
    emotion_rate: float = setting(10.0, "Emotion estimates of each face.", low=0.01, high=1000, unit="Hz")
    max_wait: float = setting(
        1.0,
        "Waiting time after which a face is estimated before all others, in turns with new faces.",
        low=0.01,
        high=60,
        unit="s",
    )
    max_batch: int = setting(32, "Largest number of faces in one batch.", low=1, high=1024, unit="faces")

    @property
    def rates(self) -> dict[str, float]:
        """Estimates per second of every task."""
        return {AGE: self.age_rate, GENDER: self.gender_rate, EMOTION: self.emotion_rate}


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """Every setting of the pipeline.

    Attributes:
        tasks: the tasks that are switched on; the others cost nothing and stay unknown.
        tracking: how detections become tracks.
        fusion: how the estimates of one track are fused.
        scheduling: how many estimates are made, and of which tracks.
        thresholds: per task, the probability below which a label is unknown; the model's own where there is none.

    >>> options = PipelineOptions(tasks=("emotion",), fusion=FusionOptions(emotion_memory=5.0))
    >>> options.fusion.emotion_memory, options.tracking.gate
    (5.0, 4.5)
    >>> SchedulingOptions(max_batch=0)
    Traceback (most recent call last):
    facial_attributes_ros.errors.UserError: scheduling.max_batch takes a whole number from 1 to 1024, not 0.
    """

    tasks: tuple[str, ...] = TASKS
    detect_every: int = setting(
        1,
        "Faces are detected in every n-th image; tracks are predicted in the others.",
        low=1,
        high=100,
        unit="images",
        name="detection.every",
    )
    camera_mounting: str = setting(
        "upright",
        "How the camera is turned about its optical axis, seen from behind it. Faces are found and estimated in "
        "upright images; all positions that are published stay those of the camera's image.",
        choices=("upright", "upside_down", "clockwise", "counterclockwise"),
        name="camera.mounting",
    )
    tracking: TrackingOptions = field(default_factory=TrackingOptions)
    fusion: FusionOptions = field(default_factory=FusionOptions)
    scheduling: SchedulingOptions = field(default_factory=SchedulingOptions)
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: a value is out of its range, or there is no such task.
        """
        check(self)
        if unknown := set(self.tasks) - set(TASKS):
            raise UserError(f"There is no task {', '.join(sorted(unknown))}; the tasks are {', '.join(TASKS)}.")
