"""The parameters of the perception node: one table, and what their values mean. Needs no ROS."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from facial_attributes_ros.attributes import TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.options import (
    DetectorOptions,
    FusionOptions,
    PipelineOptions,
    SchedulingOptions,
    TrackingOptions,
)
from facial_attributes_ros.ros.conversion import MAX_COMPRESSED_PIXELS
from facial_attributes_ros.ros.setting import Setting

_DETECTION, _TRACKING, _FUSION, _SCHEDULING = DetectorOptions(), TrackingOptions(), FusionOptions(), SchedulingOptions()

SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("autostart", True, "Configure and activate by itself at the start.", when="start"),
    Setting("model", "small", "Name, folder or hub reference of the model.", when="configure"),
    Setting("device", "auto", "Where the model runs: auto, cpu, cuda or cuda:N.", when="configure"),
    Setting(
        "engine",
        "auto",
        "What runs the model.",
        choices=("auto", "onnx", "onnx-int8", "torch"),
        when="configure",
    ),
    Setting("threads", 0, "CPU threads of the model; 0 for one per core.", 0, 256, when="configure"),
    Setting("detector", "yunet", "Face detector: yunet, scrfd:FILE.onnx or scrfd:PACK.", when="configure"),
    Setting(
        "image_transport",
        "raw",
        "Listen to the topic image (raw) or image/compressed (compressed).",
        choices=("raw", "compressed"),
        when="configure",
    ),
    Setting(
        "max_pixels",
        MAX_COMPRESSED_PIXELS,
        "Compressed images of more pixels are refused before they are decoded.",
        1,
        1_000_000_000,
        when="configure",
    ),
    Setting(
        "rep155",
        "auto",
        "Publish the REP-155 topics under /humans/faces: auto does where hri_msgs is installed.",
        choices=("auto", "always", "never"),
        when="configure",
    ),
    Setting("tasks.age", True, "Estimate the age."),
    Setting("tasks.gender", True, "Estimate the gender."),
    Setting("tasks.emotion", True, "Estimate the emotion."),
    Setting("thresholds.age", -1.0, "The age group is unknown below this probability; -1 for the model's own.", -1, 1),
    Setting("thresholds.gender", -1.0, "The gender is unknown below this probability; -1 for the model's own.", -1, 1),
    Setting(
        "thresholds.emotion", -1.0, "The emotion is unknown below this probability; -1 for the model's own.", -1, 1
    ),
    Setting("detection.size", _DETECTION.detection_size, "Longest side in pixels of the searched copy.", 32, 8192),
    Setting("detection.score", _DETECTION.score_threshold, "Lowest score of a detection that is kept.", 0, 1),
    Setting("detection.min_face", _DETECTION.min_face, "Smallest face in pixels of the full image.", 0, 10000),
    Setting("detection.every", 1, "Detect on every n-th image; tracks are predicted between.", 1, 100),
    Setting("tracking.birth_score", _TRACKING.birth_score, "Lowest score of a detection that begins a track.", 0, 1),
    Setting(
        "tracking.birth_within", _TRACKING.birth_within, "Seconds within which a new face is seen twice.", 0.001, 10
    ),
    Setting("tracking.death_after", _TRACKING.death_after, "Seconds unseen after which a track ends.", 0.01, 60),
    Setting(
        "tracking.acceleration", _TRACKING.acceleration, "How suddenly faces move; higher follows sooner.", 0.01, 100
    ),
    Setting("tracking.box_noise", _TRACKING.box_noise, "Noise of a box, as a share of the face size.", 0.001, 1),
    Setting("tracking.gate", _TRACKING.gate, "Farthest a detection is from its track, in deviations.", 0.5, 100),
    Setting("fusion.age_memory", _FUSION.age_memory, "Seconds an age estimate counts.", 0.01, 3600),
    Setting("fusion.gender_memory", _FUSION.gender_memory, "Seconds a gender estimate counts.", 0.01, 3600),
    Setting("fusion.emotion_memory", _FUSION.emotion_memory, "Seconds an emotion lasts.", 0.01, 3600),
    Setting("fusion.correlation", _FUSION.correlation, "Seconds over which errors on a face resemble.", 0.001, 60),
    Setting(
        "fusion.emotion_correlation",
        _FUSION.emotion_correlation,
        "Seconds over which errors on the emotion of a face resemble.",
        0.001,
        60,
    ),
    Setting(
        "fusion.switch_odds",
        _FUSION.switch_odds,
        "How many times as probable as the label another must be to take its place.",
        1,
        1000,
    ),
    Setting("scheduling.budget", _SCHEDULING.budget, "Seconds of model time an image.", 0.001, 10),
    Setting("scheduling.age_rate", _SCHEDULING.age_rate, "Age estimates a second of each face.", 0.01, 1000),
    Setting("scheduling.gender_rate", _SCHEDULING.gender_rate, "Gender estimates a second of each face.", 0.01, 1000),
    Setting(
        "scheduling.emotion_rate", _SCHEDULING.emotion_rate, "Emotion estimates a second of each face.", 0.01, 1000
    ),
    Setting("scheduling.max_wait", _SCHEDULING.max_wait, "Seconds after which a waiting face goes first.", 0.01, 60),
    Setting("scheduling.max_batch", _SCHEDULING.max_batch, "Most faces in one batch.", 1, 1024),
    Setting("debug.jpeg_quality", 80, "JPEG quality of the compressed debug picture.", 1, 100),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of all parameters, checked.

    Attributes:
        model: as in `models.registry.model_folder`.
        device: as in `engines.base.load_engine`.
        engine: likewise.
        threads: likewise.
        detector: as in `detection.load_detector`.
        compressed: whether to listen to image/compressed.
        max_pixels: limit of a compressed image's width times its height.
        rep155: auto, always or never.
        detection: how the detector looks at a frame.
        pipeline: everything else about the way of a frame.
        jpeg_quality: of the debug picture, 1 to 100.
    """

    model: str
    device: str
    engine: str
    threads: int | None
    detector: str
    compressed: bool
    max_pixels: int
    rep155: str
    detection: DetectorOptions
    pipeline: PipelineOptions
    jpeg_quality: int


def settings_from(values: Mapping[str, Any]) -> Settings:
    """Check the values of all parameters.

    Args:
        values: by name, one for every row of `SETTINGS`.

    Raises:
        UserError: a value cannot be.
    """
    for setting in SETTINGS:
        if setting.choices and values[setting.name] not in setting.choices:
            choices = ", ".join(setting.choices)
            raise UserError(f"The parameter {setting.name} must be one of {choices}, not '{values[setting.name]}'.")
    thresholds = {task: values[f"thresholds.{task}"] for task in TASKS}
    detection = DetectorOptions(
        detection_size=values["detection.size"],
        score_threshold=values["detection.score"],
        min_face=values["detection.min_face"],
    )
    pipeline = PipelineOptions(
        tasks=tuple(task for task in TASKS if values[f"tasks.{task}"]),
        detect_every=values["detection.every"],
        tracking=TrackingOptions(**_group(values, "tracking")),
        fusion=FusionOptions(**_group(values, "fusion")),
        scheduling=SchedulingOptions(**_group(values, "scheduling")),
        thresholds={task: value for task, value in thresholds.items() if value >= 0},
    )
    return Settings(
        model=values["model"],
        device=values["device"],
        engine=values["engine"],
        threads=values["threads"] or None,
        detector=values["detector"],
        compressed=values["image_transport"] == "compressed",
        max_pixels=values["max_pixels"],
        rep155=values["rep155"],
        detection=detection,
        pipeline=pipeline,
        jpeg_quality=values["debug.jpeg_quality"],
    )


def _group(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.partition(".")[2]: value for name, value in values.items() if name.startswith(f"{prefix}.")}
