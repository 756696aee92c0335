"""Provenance of a trained model: parents, data, and the strictest of their licences."""

import json
import logging
import os
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Self

from facial_attributes_training.data.licences import licences_of
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.recipe.schema import Recipe

from facial_attributes_ros.assets import ASSETS
from facial_attributes_ros.attributes import AGE, LABELS, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors, file_sha256, read_json
from facial_attributes_ros.models.backbones.published import backbone_licence, backbone_parent
from facial_attributes_ros.models.backbones.reference import BackboneReference, is_hub_reference
from facial_attributes_ros.models.checks import as_tuple, check_known
from facial_attributes_ros.models.provenance import Licence, Parent, strictest, today
from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.spec import ModelSpec

PROVENANCE_FILE: Final = "papers.json"
"""In a run's folder, for runs that start from one of its checkpoints."""
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Provenance:
    """The fields of the same names in `models.spec.ModelSpec`, and the tasks that were trained."""

    tasks: tuple[str, ...]
    version: str
    parent: Parent | None
    date: str
    samples: dict[str, int]
    commands: tuple[str, ...]
    licence: Licence
    untrained_labels: dict[str, tuple[str, ...]]

    def fields(self) -> dict[str, Any]:
        """Return the fields by name, except the tasks, for a model's description."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "tasks"}

    def write(self, folder: Path) -> None:
        """Write it to a run's folder.

        Raises:
            UserError: no space or no write access.
        """
        path = folder / PROVENANCE_FILE
        with disk_errors(path), atomic_target(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file that `write` wrote.

        Raises:
            FileNotFoundError: there is none.
            UserError: it is damaged.
        """
        document = read_json(path)
        try:
            check_known(document, cls, "field")
            return cls(
                **document
                | {
                    "parent": None if document["parent"] is None else Parent.from_json(document["parent"]),
                    "licence": Licence.from_json(document["licence"]),
                    "tasks": as_tuple("tasks", document["tasks"]),
                    "commands": as_tuple("commands", document["commands"]),
                    "untrained_labels": {task: tuple(labels) for task, labels in document["untrained_labels"].items()},
                }
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{path} is not the provenance of a run ({error}).") from error


def run_provenance(recipe: Recipe, sets: Sequence[Manifest]) -> Provenance:
    """Return the provenance of the model that a run trains.

    Its licence is the strictest of the starting weights', the recipe's, and the training data's. Samples that only
    choose an epoch or a threshold do not count, since the weights are not trained on them.

    Args:
        recipe: the run.
        sets: the samples of every training set.

    Raises:
        UserError: the starting weights are missing or damaged.
    """
    reference = backbone_reference(recipe, recipe.folder / "model")
    start = None if recipe.backbone.start is None else _provenance_of(recipe.backbone.start)
    licences = [licence for licence in (backbone_licence(reference), start and start.licence) if licence]
    for wanted, manifest in zip(recipe.data.train, sets, strict=True):
        licences += licences_of(manifest) if wanted.licence is None else [wanted.licence.terms()]
    licences += [] if recipe.licence is None else [recipe.licence.terms()]
    samples = Counter(name or "unnamed" for manifest in sets for name in manifest.sources.tolist())
    return Provenance(
        tasks=tuple(task for task in TASKS if task in recipe.tasks or (start is not None and task in start.tasks)),
        version=recipe.version,
        parent=backbone_parent(reference) if start is None else start.parent,
        date=today(),
        samples=({} if start is None else start.samples) | dict(sorted(samples.items())),
        commands=(*(() if start is None else start.commands), shlex.join(["facial-attributes", *sys.argv[1:]])),
        licence=strictest(licences),
        untrained_labels=_never_trained(recipe, Manifest.concatenate(list(sets)), start),
    )


def backbone_reference(recipe: Recipe, folder: Path) -> BackboneReference:
    """Return the source of a backbone's starting weights, relative to the model's folder.

    Raises:
        UserError: a file of weights is not there.
    """
    name, weights, architecture = recipe.backbone.name, recipe.backbone.weights, recipe.backbone.architecture
    sha256 = None
    if weights is None:
        weights = "included"
    elif weights == "asset":
        sha256 = ASSETS[name].sha256 if name in ASSETS else None
    elif not is_hub_reference(weights):
        try:
            sha256 = file_sha256(Path(weights))
        except OSError as error:
            raise UserError(f"there is no file {weights} with weights of {name} ({error.strerror}).") from error
        weights = os.path.relpath(weights, folder)
    return BackboneReference(name, weights, sha256, architecture)


def untrained_labels(manifest: Manifest, tasks: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return, per task, the labels that no sample has; tasks without such labels, or without any label, are omitted."""
    found = {}
    for task in tasks:
        there = set(manifest.labels[task].tolist())
        lacking = tuple(label for index, label in enumerate(LABELS[task]) if index not in there)
        if lacking and len(lacking) < len(LABELS[task]):
            found[task] = lacking
    return found


def _never_trained(recipe: Recipe, rows: Manifest, start: "Provenance | None") -> dict[str, tuple[str, ...]]:
    """Return the labels that are never predicted: neither this run nor the one that it starts from has a sample.

    A run that continues a model may mask labels that only that model has samples of.
    """
    masked = recipe.keep.missing_classes == "mask"
    kept = () if start is None or recipe.backbone.parent is None else set(start.tasks) - set(recipe.tasks)
    found = {task: start.untrained_labels[task] for task in kept if start and task in start.untrained_labels}
    for task, labels in untrained_labels(rows, grouped_tasks(recipe)).items():
        if start is not None and task in start.tasks and not masked:
            labels = tuple(label for label in labels if label in start.untrained_labels.get(task, ()))
        if labels:
            found[task] = labels
    return found


def grouped_tasks(recipe: Recipe) -> tuple[str, ...]:
    """Return the tasks that are learned as classes, all but an age in years."""
    return tuple(task for task in recipe.tasks if not (task == AGE and recipe.age_in_years))


def _provenance_of(start: str) -> Provenance:
    """Return the provenance of the starting model or checkpoint, with itself as the parent."""
    if start.endswith(".pt"):
        return _provenance_of_checkpoint(Path(start))
    spec = ModelSpec.identified(model_folder(start))
    return Provenance(
        tasks=spec.tasks,
        version=spec.version,
        parent=Parent(spec.name, spec.version, spec.sha256),
        date=spec.date or "",
        samples=spec.samples,
        commands=spec.commands,
        licence=spec.licence,
        untrained_labels=spec.untrained_labels,
    )


def _provenance_of_checkpoint(path: Path) -> Provenance:
    if not path.is_file():
        raise UserError(f"backbone.start {path}: there is no such checkpoint; a run's is OUTPUT/stage/last.pt.")
    itself = Parent(f"checkpoint {path}", "", file_sha256(path))
    file = provenance_file(path)
    if file is None:
        _LOGGER.warning("%s has no %s in the folder of its run, so its licence is not known.", path, PROVENANCE_FILE)
        return Provenance((), "", itself, "", {}, (), Licence(sources=(itself.name,)), {})
    found = Provenance.read(file)
    return replace(found, parent=replace(itself, version=found.version))


def provenance_file(checkpoint: Path) -> Path | None:
    """Return the provenance file of a checkpoint: in its run's folder, or beside a checkpoint that was copied."""
    places = (checkpoint.with_name(PROVENANCE_FILE), checkpoint.parent.parent / PROVENANCE_FILE)
    return next((place for place in places if place.is_file()), None)
