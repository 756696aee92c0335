"""Models on the same labelled images: tables with paired differences, and the mistakes of each as images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.data.subsets import data_sets
from facial_attributes_training.measure.against_parent import Change, compare
from facial_attributes_training.measure.cautious import calibration_of
from facial_attributes_training.measure.evaluation import expected_ages
from facial_attributes_training.measure.fitted import Fit
from facial_attributes_training.measure.predictions import CropMode, Predictions, predict_manifest, write_predictions
from facial_attributes_training.reports.mistakes import mistakes, write_mistakes
from facial_attributes_training.reports.page import render, write_page
from facial_attributes_training.reports.parent import both_figures
from facial_attributes_training.reports.tables import table

from facial_attributes_ros.detection.base import FaceDetector
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.spec import SPEC_FILE, ModelSpec
from facial_attributes_ros.text import with_interval

REPORT_FILE, PAGE_FILE = "models.md", "models.html"
_COLUMNS: Final = ("images", "task", "faces", "accuracy, %", "gained, points", "NLL", "Brier", "ECE, %", "coverage, %",
                   "precision, %")  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A model with its predictions.

    Attributes:
        given: what the user calls it.
        spec: its description.
        predictions: for the samples that every model predicted.
    """

    given: str
    spec: ModelSpec
    predictions: Predictions


def model_of(given: str) -> str:
    """Return the model for a name or folder; a run's folder stands for the model in it."""
    inside = Path(given) / "model"
    return str(inside) if (inside / SPEC_FILE).is_file() else given


def measure_models(
    names: Sequence[str],
    manifest: Manifest,
    crop: CropMode,
    detector: FaceDetector | None,
    progress: Callable[[int, int], None],
) -> list[Measured]:
    """Return the predictions of several models for the same samples.

    Raises:
        UserError: a model is missing, or no sample can be predicted by all.
    """
    found = []
    for name in names:
        engine = load_engine(model_of(name))
        found.append(Measured(name, engine.spec, predict_manifest(engine, manifest, crop, detector, progress)))
    common = set.intersection(*(set(each.predictions.manifest.paths.tolist()) for each in found))
    if not common:
        raise UserError("there is no sample that every model can predict.")
    kept = [np.isin(each.predictions.manifest.paths, list(common)) for each in found]
    return [
        Measured(each.given, each.spec, each.predictions.take(rows)) for each, rows in zip(found, kept, strict=True)
    ]


def write_models(folder: Path, models: Sequence[Measured], command: str) -> str:
    """Write the comparison of models with the first one, and return it as Markdown.

    Args:
        folder: where to; it is made if need be.
        models: two or more.
        command: that made this.

    Raises:
        UserError: no space or no write access.
    """
    first, pages = models[0], []
    sections = [(each.spec.title, _table(_changes(each, first))) for each in models[1:]]
    for number, each in enumerate(models):
        own = folder / f"{number + 1}-{each.spec.name}"
        ages = expected_ages(each.predictions, Fit.of(each.spec))
        own.mkdir(parents=True, exist_ok=True)
        write_predictions(own / "predictions.csv", each.predictions, each.spec.temperatures, ages)
        shown = mistakes(own / "predictions.csv")
        page = write_mistakes(own, shown, each.predictions.manifest, f"Mistakes of {each.spec.title}")
        pages += [(each.spec.title, str(page))] if page else []
    text = render(
        "models",
        command=command,
        models=table(("model", "given as", "parent", "licence"), [_origin(each) for each in models]),
        first=first.spec.title,
        sections=sections,
        mistakes=table(("mistakes of", "page, on this machine only"), pages) if pages else "",
    )
    write_page(folder, REPORT_FILE, PAGE_FILE, text)
    return text


def _changes(model: Measured, first: Measured) -> list[Change]:
    found: list[Change] = []
    for name, rows in data_sets(first.predictions.manifest):
        whole = np.ones(int(rows.sum()), np.bool_)
        ours, theirs = ((side.predictions.take(rows), [(whole, calibration_of(side.spec))]) for side in (model, first))
        found += compare(name, ours, theirs, model.spec.tasks)
    return found


def _table(changes: Sequence[Change]) -> str:
    rows = []
    for change in changes:
        gained, record = change.accuracy, change.record()
        interval = with_interval(gained.value, gained.low, gained.high, percent=True, sign=True)
        accuracy, *others = both_figures(record)
        rows.append((change.samples, change.task, str(change.rows), accuracy, interval, *others))
    return table(_COLUMNS, rows)


def _origin(model: Measured) -> tuple[str, str, str, str]:
    spec = model.spec
    return spec.title, model.given, spec.parent.title if spec.parent else "", spec.licence.sentence
