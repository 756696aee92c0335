"""`model.json`: the description of a model without its tensors, read without torch.

Every file is checked when it is read and when it is written, so that code can rely on a `ModelSpec`.
"""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from textwrap import shorten
from typing import Any, Final

from facial_attributes_ros.attributes import AGE, LABELS, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors, read_json
from facial_attributes_ros.models.age_bands import BANDS, SPREAD_KNOTS
from facial_attributes_ros.models.backbones.reference import BackboneReference, check_backbone_reference
from facial_attributes_ros.models.checks import (
    as_tuple,
    check_date,
    check_known,
    check_numbers,
    check_sha256,
    check_texts,
    is_count,
)
from facial_attributes_ros.models.expression import EXPRESSION, EXPRESSIONS
from facial_attributes_ros.models.provenance import SHORT_HASH, Licence, Parent, model_sha256
from facial_attributes_ros.models.regression import AgeRegression, check_age_regression
from facial_attributes_ros.models.resting_face import RestingFaceFacts, check_resting_face

FORMAT_VERSION: Final = 1
SPEC_FILE: Final = "model.json"
LONGEST_REASON: Final = 1000
"""Largest number of letters in an error message."""
GROUP_MIDDLES: Final = (1.0, 6.0, 14.5, 24.5, 34.5, 44.5, 54.5, 64.5, 75.0)
"""The middle of every age group in years, for want of the mean age of real people."""
TENSORS_FILE: Final = "model.safetensors"
BOX: Final = "box"
LANDMARKS: Final = "landmarks"
CROPS: Final = (BOX, LANDMARKS)
"""Kinds of crops, see `imaging.crop`: the square of the face box, or the one that follows the landmarks."""
INTERPOLATIONS: Final = ("area", "bilinear", "bicubic")

_LOGGER = logging.getLogger(__name__)

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model's description.

    Attributes:
        name: of the model in messages and reports.
        backbone: the network that computes features.
        adaptation: of the backbone, from `models.adaptations.ladder.Adaptation.to_dict`.
        tasks: of its heads, in the order of `attributes.TASKS`.
        image_size: side of the square input in pixels.
        mean, std: of the three channels, RGB, for pixels scaled to 0..1.
        interpolation: with which images were resized for the backbone; the crop itself is that of `imaging.crop`.
        crop: kind of the crop, one of `CROPS`.
        crop_margin: added on every side of the crop's square, as a fraction of its side.
        expressions: of the second output, `models.expression.EXPRESSIONS`; empty for models without it.
        readout: whether emotion has a last layer of its own, see `models.readout`.
        age_centroids: years of every age group, in rising order; the expected age is their probability-weighted mean.
        age_regression: the meaning of the age head's single output; None if it predicts a distribution over age groups.
        temperatures: per task, the divisor of logits before the softmax; 1 for tasks in `uncalibrated`.
        thresholds: per task, the probability below which the label is unknown; infinite for `uncalibrated` tasks.
        gender_thresholds: per band of age (`models.age_bands`), the probability below which a gender is unknown; that
            of children whatever the user sets, while that of adults is in `thresholds`, too. A band that is missing is
            never named. Empty if the bands do not differ.
        uncalibrated: tasks whose temperature and threshold were never fitted. The file has no numbers for them, and
            their labels are unknown unless the user sets a threshold.
        age_spread: factors on the standard deviations of ages at `models.age_bands.SPREAD_KNOTS`, as they were measured
            to hold; empty if they never were.
        age_certainty: smallest probability, from the age and its deviation, that the age lies in its group or a
            neighbouring one with which the group is named, see `fusion.age.group_certainty`.
        untrained_labels: per task, the labels without training samples, which are never predicted; only tasks with such
            labels.
        calibration: per task, the data that temperature and threshold were fitted on, and their figures on other
            samples; for reports.
        resting_face: how the emotion logits depend on the person; None if it was not measured; then emotions are not
            corrected for it.
        int8: whether int8 engines lose at most half a point of accuracy in every task, by measurement.
        metrics: figures of the evaluation, for reports.
        licence: terms of use of the weights.
        version: of the model, such as 1.0.0; empty for models without one.
        parent: the model or backbone from which this one was made; None if training began with random weights.
        sha256: hash of the model, see `provenance.model_sha256`; None in descriptions without one.
        date: of the training or the calibration, such as 2026-11-21; None if it is unknown.
        samples: number of training samples per source, those of the parent included.
        commands: that made the model from public weights and data, in their order.
    """

    name: str
    backbone: BackboneReference
    image_size: int
    mean: Triple
    std: Triple
    tasks: tuple[str, ...] = TASKS
    adaptation: dict[str, Any] = field(default_factory=lambda: {"name": "lp"})
    interpolation: str = "bicubic"
    crop: str = BOX
    expressions: tuple[str, ...] = ()
    readout: bool = False
    crop_margin: float = 0.0
    age_centroids: tuple[float, ...] = GROUP_MIDDLES
    age_regression: AgeRegression | None = None
    temperatures: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TASKS, 1.0))
    thresholds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TASKS, 0.0))
    uncalibrated: tuple[str, ...] = ()
    age_spread: tuple[float, ...] = ()
    age_certainty: float = 0.5
    gender_thresholds: dict[str, float] = field(default_factory=dict)
    untrained_labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    resting_face: RestingFaceFacts | None = None
    int8: bool = False
    metrics: dict[str, Any] = field(default_factory=dict)
    licence: Licence = field(default_factory=Licence)
    version: str = ""
    parent: Parent | None = None
    sha256: str | None = field(default=None, compare=False)
    date: str | None = None
    samples: dict[str, int] = field(default_factory=dict)
    commands: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every field, and fill in the calibration of uncalibrated tasks.

        Raises:
            ValueError: a field is missing, of the wrong kind or out of range; the message names it.
        """
        for check in (_check_text, _check_input, _check_tasks, _check_labels, _check_age, _check_provenance):
            check(self)
        check_age_regression(self.age_regression, self.tasks)
        check_resting_face(self.resting_face, self.tasks, self.untrained_labels)
        for task in self.uncalibrated:
            # Copies, since another description may hold the same tables.
            object.__setattr__(self, "temperatures", self.temperatures | {task: 1.0})
            object.__setattr__(self, "thresholds", self.thresholds | {task: math.inf})

    @property
    def short_hash(self) -> str:
        """The first digits of the model's hash, empty if it is unknown."""
        return (self.sha256 or "")[:SHORT_HASH]

    @property
    def title(self) -> str:
        """Name, version and short hash, without those that are unknown: `small 1.0.0 (3f2a9c0b1d2e)`."""
        mark = f"({self.short_hash})" if self.sha256 else ""
        return " ".join(part for part in (self.name, self.version, mark) if part)

    @property
    def all_outputs(self) -> tuple[str, ...]:
        """The tasks, and `EXPRESSION` for a model that has it."""
        return (*self.tasks, EXPRESSION) if self.expressions else self.tasks

    def outputs(self, task: str) -> int:
        """Return the number of outputs for a task: one per class, or one for an age in years.

        `EXPRESSION` stands for the second output.
        """
        if task == EXPRESSION:
            return len(self.expressions)
        return 1 if task == AGE and self.age_regression is not None else len(LABELS[task])

    @classmethod
    def read(cls, folder: Path) -> "ModelSpec":
        """Read and check a model folder's `model.json`.

        Raises:
            UserError: the file is missing, not JSON, of another format version, or a field of it is wrong.
        """
        path = Path(folder) / SPEC_FILE
        return cls._checked(path, _parsed(path))

    @classmethod
    def identified(cls, folder: Path) -> "ModelSpec":
        """Read a model folder's description, with the present hash of its files in place of the recorded one.

        Raises:
            UserError: as for `read`, or the tensors can't be read.
        """
        path = Path(folder) / SPEC_FILE
        document = _parsed(path)
        spec = cls._checked(path, document)
        try:
            found = model_sha256(document, path.with_name(TENSORS_FILE))
        except OSError as error:
            raise UserError(f"{path.with_name(TENSORS_FILE)} can't be read: {error.strerror}.") from error
        if spec.sha256 not in (None, found):
            _LOGGER.warning(
                "The files of model %s in %s were changed after they were written: its hash is %s, not %s.",
                *(spec.name, folder, found[:SHORT_HASH], spec.short_hash),
            )
        return replace(spec, sha256=found)

    @classmethod
    def _checked(cls, path: Path, document: object) -> "ModelSpec":
        try:
            return cls.from_json(document)
        except (ValueError, TypeError) as error:
            # The message may quote the file: texts that no terminal can show, and long ones.
            reason = str(error).encode("utf-8", "backslashreplace").decode("utf-8")
            raise UserError(f"{path}: {shorten(reason, LONGEST_REASON)}.") from error

    @classmethod
    def from_json(cls, document: object) -> "ModelSpec":
        """Make a spec from parsed JSON.

        Raises:
            ValueError: the document is not a model description; the message names the mistake.
        """
        if not isinstance(document, dict):
            raise ValueError("a model is described by a JSON object")
        values = dict(document)
        version = values.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise ValueError(f"format_version is {version!r}, while this release reads {FORMAT_VERSION}")
        labels = values.pop("labels", None)
        check_known(values, cls, "field")
        for name in ("mean", "std", "tasks", "age_centroids", "age_spread", "uncalibrated", "commands", "expressions"):
            if name in values:
                values[name] = as_tuple(name, values[name])
        spec = cls(**values | _objects(values))
        expected = {task: list(LABELS[task]) for task in spec.tasks}
        if labels != expected:
            raise ValueError(f"labels must be {json.dumps(expected)}, in this order, not {json.dumps(labels)}")
        return spec

    def to_json(self) -> dict[str, Any]:
        """Return the document that `from_json` reads."""
        labels = {task: list(LABELS[task]) for task in self.tasks}
        document = {"format_version": FORMAT_VERSION, "labels": labels, **asdict(self)}
        for name in ("temperatures", "thresholds"):
            document[name] = {task: value for task, value in document[name].items() if task not in self.uncalibrated}
        return document

    def write(self, folder: Path) -> Path:
        """Write `model.json` with the hash of the model in the folder, atomically, and return its path.

        Raises:
            UserError: there is no space or no write access.
        """
        path = Path(folder) / SPEC_FILE
        document = self.to_json()
        with disk_errors(path), atomic_target(path) as temporary:
            document["sha256"] = model_sha256(document, path.with_name(TENSORS_FILE))
            temporary.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        return path


def _parsed(path: Path) -> Any:
    """Return the JSON of a model's description.

    Raises:
        UserError: the file is missing, can't be read or is not JSON.
    """
    try:
        return read_json(path)
    except FileNotFoundError as error:
        raise UserError(f"{path.parent} is not a model: it has no {SPEC_FILE}.") from error


def _objects(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those fields of a parsed description that are objects of their own."""
    found: dict[str, Any] = {"backbone": BackboneReference.from_json(values.get("backbone"))}
    if values.get("age_regression") is not None:
        found["age_regression"] = AgeRegression.from_json(values["age_regression"])
    if "licence" in values:
        found["licence"] = Licence.from_json(values["licence"])
    if values.get("parent") is not None:
        found["parent"] = Parent.from_json(values["parent"])
    if values.get("resting_face") is not None:
        found["resting_face"] = RestingFaceFacts.from_json(values["resting_face"])
    if isinstance(untrained := values.get("untrained_labels"), dict):
        found["untrained_labels"] = {task: as_tuple("untrained_labels", labels) for task, labels in untrained.items()}
    return found


def _check_text(spec: ModelSpec) -> None:
    for name, value in (("name", spec.name), ("backbone.name", spec.backbone.name)):
        # Messages quote these texts, and half a surrogate pair, for example, can't be written in UTF-8.
        if not (isinstance(value, str) and value and value.isprintable()):
            raise ValueError(f"{name} must be a text of printable letters that is not empty, not {value!a}")
    check_backbone_reference(spec.backbone)
    for name in ("int8", "readout"):
        if not isinstance(getattr(spec, name), bool):
            raise ValueError(f"{name} must be true or false, not {getattr(spec, name)!r}")
    if spec.interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation must be one of {', '.join(INTERPOLATIONS)}, not {spec.interpolation!r}")
    for name in (
        *("adaptation", "metrics", "temperatures", "thresholds", "gender_thresholds"),
        *("calibration", "untrained_labels", "samples"),
    ):
        if not isinstance(getattr(spec, name), dict):
            raise ValueError(f"{name} must be an object, not {getattr(spec, name)!r}")
    try:
        json.dumps((spec.metrics, spec.calibration, spec.adaptation, spec.backbone.architecture), allow_nan=False)
    except ValueError as error:
        raise ValueError("metrics, calibration, adaptation and architecture must hold finite numbers only") from error


def _check_input(spec: ModelSpec) -> None:
    if not (isinstance(spec.image_size, int) and 8 <= spec.image_size <= 4096):
        raise ValueError(f"image_size must be a whole number of pixels from 8 to 4096, not {spec.image_size!r}")
    check_numbers("mean", spec.mean, 3, 0.0, 1.0)
    check_numbers("std", spec.std, 3, 1e-3, 10.0)
    if spec.crop not in CROPS:
        raise ValueError(f"crop must be one of {', '.join(CROPS)}, not {spec.crop!r}")
    if spec.expressions not in ((), EXPRESSIONS):
        raise ValueError(f"expressions must be none or {', '.join(EXPRESSIONS)}, in this order")
    check_numbers("crop_margin", (spec.crop_margin,), 1, -0.4, 4.0)


def _check_tasks(spec: ModelSpec) -> None:
    if not spec.tasks or list(spec.tasks) != [task for task in TASKS if task in spec.tasks]:
        raise ValueError(f"tasks must be some of {', '.join(TASKS)}, in this order, not {list(spec.tasks)}")
    if list(spec.uncalibrated) != [task for task in spec.tasks if task in spec.uncalibrated]:
        raise ValueError(f"uncalibrated must be some of the model's tasks, in order, not {list(spec.uncalibrated)}")
    calibrated = [task for task in spec.tasks if task not in spec.uncalibrated]
    for name, values, low, high in (
        ("temperatures", spec.temperatures, 1e-2, 1e2),
        ("thresholds", spec.thresholds, 0.0, 1.0),
    ):
        if missing := [task for task in calibrated if task not in values]:
            raise ValueError(f"{name} has no value for {', '.join(missing)}")
        check_numbers(name, tuple(values[task] for task in calibrated), len(calibrated), low, high)


def _check_labels(spec: ModelSpec) -> None:
    for task, labels in spec.untrained_labels.items():
        known = LABELS.get(task, ()) if task in spec.tasks else ()
        check_texts(f"untrained_labels.{task}", labels)
        if not labels or list(labels) != [label for label in known if label in labels] or len(labels) == len(known):
            raise ValueError(f"untrained_labels.{task} must be some labels of a task, in order, not {list(labels)}")


def _check_age(spec: ModelSpec) -> None:
    check_numbers("age_centroids", spec.age_centroids, len(LABELS[AGE]), 0.0, 120.0)
    if list(spec.age_centroids) != sorted(spec.age_centroids):
        raise ValueError(f"age_centroids must rise from group to group, not {list(spec.age_centroids)}")
    if unknown := sorted(set(spec.gender_thresholds) - set(BANDS)):
        raise ValueError(f"gender_thresholds has no band {', '.join(unknown)}; the bands are {', '.join(BANDS)}")
    check_numbers("gender_thresholds", tuple(spec.gender_thresholds.values()), len(spec.gender_thresholds), 0.0, 1.0)
    check_numbers("age_spread", spec.age_spread, len(SPREAD_KNOTS) if spec.age_spread else 0, 0.1, 10.0)
    check_numbers("age_certainty", (spec.age_certainty,), 1, 0.0, 1.0)


def _check_provenance(spec: ModelSpec) -> None:
    if not isinstance(spec.licence, Licence):
        raise ValueError(f"licence must be a Licence, not {spec.licence!r}")
    if not (spec.parent is None or isinstance(spec.parent, Parent)):
        raise ValueError(f"parent must be a Parent or None, not {spec.parent!r}")
    if not isinstance(spec.version, str):
        raise ValueError(f"version must be a text, not {spec.version!r}")
    check_sha256("sha256", spec.sha256)
    check_texts("commands", spec.commands)
    if spec.date is not None:
        check_date(spec.date)
    for source, rows in spec.samples.items():
        if not is_count(rows):
            raise ValueError(f"samples.{source} must be a number of samples, not {rows!r}")
