"""The parameters of the perception node, and what their values mean. Needs no ROS.

Parameters of the pipeline are described in `options`; those of the node alone here, in the same form. From them follow
the declaration (`parameters`), `config/perception.yaml` and `docs/parameters.md` (`parameter_pages`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar

from facial_attributes_ros.attributes import AGE, GENDER, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.options import (
    DetectorOptions,
    FusionOptions,
    PipelineOptions,
    SchedulingOptions,
    TrackingOptions,
)
from facial_attributes_ros.ros.conversion import MAX_COMPRESSED_PIXELS
from facial_attributes_ros.setting import Setting, check, setting, settings_of

Options = TypeVar("Options")


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What the node runs: which model, where, on which images, and what else is published."""

    autostart: bool = setting(True, "The node configures and activates itself at the start.", when="start")
    model: str = setting(
        "small", "Model: the name of one that ships, a model folder or a hub reference.", when="configure"
    )
    device: str = setting("auto", "Where the model runs: auto, cpu, cuda or cuda:N.", when="configure")
    engine: str = setting(
        "auto", "What runs the model.", choices=("auto", "onnx", "onnx-int8", "torch"), when="configure"
    )
    threads: int = setting(
        0, "CPU threads of the model; 0 for one per core.", low=0, high=256, unit="threads", when="configure"
    )
    detector: str = setting(
        "yunet",
        "Face detector: yunet, scrfd:FILE.onnx, or scrfd:PACK, whose licence is for non-commercial research only.",
        when="configure",
    )
    image_transport: str = setting(
        "raw",
        "Topic of the images: image (raw) or image/compressed (compressed).",
        choices=("raw", "compressed"),
        when="configure",
    )
    max_pixels: int = setting(
        MAX_COMPRESSED_PIXELS,
        "A larger compressed image is refused before it is decoded: a few kilobytes can hold gigabytes.",
        low=1,
        high=1_000_000_000,
        unit="pixels",
        when="configure",
    )
    rep155: str = setting(
        "auto",
        "What is published under /humans/faces (REP-155): our faces and the list of them (always; auto if hri_msgs is "
        "installed), our faces in one list with those of other nodes (merge), estimates for the faces of another "
        "detector, in place of our own faces (add), or nothing (never). See docs/rep155.md.",
        choices=("auto", "always", "merge", "add", "never"),
        when="configure",
    )

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: a value is out of its range.
        """
        check(self)


@dataclass(frozen=True, slots=True)
class HumansOptions:
    """How faces are published under /humans/faces, see `NodeOptions.rep155`."""

    group: ClassVar[str] = "humans"

    crop_width: int = setting(128, "Width of the images of faces (cropped).", low=16, high=2048, unit="pixels")
    crop_height: int = setting(128, "Height of the images of faces (cropped).", low=16, high=2048, unit="pixels")
    lists: str = setting(
        "",
        "With rep155: merge, topics of the lists of other detectors, which join through this node; parted by spaces.",
        when="configure",
    )

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: a value is out of its range, or no name of a topic.
        """
        check(self)
        for topic in self.topics:
            if not re.fullmatch(r"~?/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", topic, re.ASCII):
                raise UserError(f"humans.lists takes names of topics, separated by spaces, not '{topic}'.")

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics of `lists`."""
        return tuple(self.lists.split())


@dataclass(frozen=True, slots=True)
class DebugOptions:
    """How the annotated image is published."""

    group: ClassVar[str] = "debug"

    jpeg_quality: int = setting(80, "JPEG quality of faces/image/compressed.", low=1, high=100)


@dataclass(frozen=True, slots=True)
class PoseOptions:
    """Where faces are and where heads point; computed only while somebody subscribes."""

    group: ClassVar[str] = "pose"

    tf: str = setting(
        "auto",
        "Whether the frames face_<id> and gaze_<id> are broadcast on /tf; auto does if tf2_msgs is installed.",
        choices=("auto", "always", "never"),
        when="configure",
    )
    rectified: str = setting(
        "auto",
        "Whether the images are rectified, so that the lens has no part in them any more; auto assumes it if the last "
        "part of their topic begins with image_rect.",
        choices=("auto", "always", "never"),
        when="configure",
    )
    depth: bool = setting(
        False,
        "Distances are measured by a depth image on the topic depth that is registered to the images.",
        when="configure",
    )
    facing_angle: float = setting(
        20.0,
        "A head that points to the camera within this angle faces it.",
        low=1,
        high=90,
        unit="degrees",
    )


_TASK_SETTINGS: Final = tuple(
    Setting(f"tasks.{task}", True, f"The {task} is estimated. A task that is off, or has no subscriber, costs nothing.")
    for task in TASKS
)
_BESIDES: Final = {
    AGE: " A wide age_stddev leaves it unknown in any case.",
    GENDER: " Children need at least the confidence that the model asks for at their age.",
}
_THRESHOLDS: Final = tuple(
    Setting(
        f"thresholds.{task}",
        -1.0,
        f"The {'age group' if task == AGE else task} is unknown if its probability is below this; -1.0 for the "
        f"model's own threshold.{_BESIDES.get(task, '')}",
        -1,
        1,
    )
    for task in TASKS
)
_FOR_STILLS: Final = ("detection.overlap_threshold", "detection.enlarge_to", "detection.padding")
"""Settings of the detector that help with still images, and that the node leaves at their defaults."""

SETTINGS: Final[tuple[Setting, ...]] = (
    *settings_of(NodeOptions).values(),
    *_TASK_SETTINGS,
    *_THRESHOLDS,
    *(one for one in settings_of(DetectorOptions).values() if one.name not in _FOR_STILLS),
    *settings_of(PipelineOptions).values(),
    *settings_of(TrackingOptions).values(),
    *settings_of(FusionOptions).values(),
    *settings_of(SchedulingOptions).values(),
    *settings_of(PoseOptions).values(),
    *settings_of(HumansOptions).values(),
    *settings_of(DebugOptions).values(),
)
"""Every parameter of the perception node, in the order of its YAML."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of all parameters, checked.

    Attributes:
        node: which model runs where, and on which images.
        detection: how the detector searches an image.
        pipeline: everything else about the way of a frame.
        pose: how poses of faces are estimated and published.
        humans: how faces are published under /humans/faces.
        debug: how the annotated image is published.
    """

    node: NodeOptions
    detection: DetectorOptions
    pipeline: PipelineOptions
    pose: PoseOptions
    humans: HumansOptions
    debug: DebugOptions


def settings_from(values: Mapping[str, Any]) -> Settings:
    """Check the values of all parameters.

    Args:
        values: by name, one for every entry of `SETTINGS`.

    Raises:
        UserError: a value has another type than its parameter, or is out of range.
    """
    for one in SETTINGS:
        if not one.allows(values[one.name]):
            raise UserError(f"The parameter {one.name} {one.takes}, not '{values[one.name]}'.")
    thresholds = {task: values[f"thresholds.{task}"] for task in TASKS}
    pipeline = PipelineOptions(
        tasks=tuple(task for task in TASKS if values[f"tasks.{task}"]),
        detect_every=values["detection.every"],
        camera_mounting=values["camera.mounting"],
        tracking=_options(TrackingOptions, values),
        fusion=_options(FusionOptions, values),
        scheduling=_options(SchedulingOptions, values),
        thresholds={task: value for task, value in thresholds.items() if value >= 0},
    )
    return Settings(
        node=_options(NodeOptions, values),
        detection=_options(DetectorOptions, values),
        pipeline=pipeline,
        pose=_options(PoseOptions, values),
        humans=_options(HumansOptions, values),
        debug=_options(DebugOptions, values),
    )


def _options(kind: type[Options], values: Mapping[str, Any]) -> Options:
    """Return the options of a class with the values that their parameters have."""
    return kind(**{field: values[one.name] for field, one in settings_of(kind).items() if one.name in values})
