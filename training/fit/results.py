"""The model folder at the end of a run: weights, age centroids, calibration, thresholds, metrics."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facial_attributes_training.data.datasets import collate
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.fit.network import Forward, build_starting_backbone
from facial_attributes_training.fit.provenance import Provenance, backbone_reference
from facial_attributes_training.fit.regression import with_measured_deviation
from facial_attributes_training.fit.run_data import RunData
from facial_attributes_training.fit.run_folder import PREDICTIONS_FILE
from facial_attributes_training.measure.age_centroids import mean_ages
from facial_attributes_training.measure.calibration import calibrate
from facial_attributes_training.measure.evaluation import Evaluation, evaluate, expected_ages
from facial_attributes_training.measure.fitted import Fit
from facial_attributes_training.measure.predictions import Predictions, write_predictions
from facial_attributes_training.measure.recalibration import calibration_records
from facial_attributes_training.recipe.schema import Recipe
from numpy.typing import NDArray
from torch import Tensor

from facial_attributes_ros.attributes import AGE, LABELS
from facial_attributes_ros.models.adaptations.ladder import Adaptation, trained_tensors
from facial_attributes_ros.models.adaptations.low_rank import compress
from facial_attributes_ros.models.checkpoint import save_model
from facial_attributes_ros.models.expression import EXPRESSION, EXPRESSIONS
from facial_attributes_ros.models.multitask import MultiTaskModel
from facial_attributes_ros.models.regression import AgeRegression
from facial_attributes_ros.models.spec import ModelSpec

_LOGGER = logging.getLogger(__name__)
_BATCH = 256
_UNCALIBRATED = (
    "Labels of %s are published as unknown, since there were too few samples to fit a threshold: calibrate on labelled "
    "samples with `facial-attributes evaluate --model %s --manifest CSV --calibrate "
    "--save-calibration MODEL`, or set the node's thresholds."
)


@dataclass(frozen=True, slots=True, eq=False)
class RunSplits:
    """The samples that a model's description is made from.

    Attributes:
        training: for the age centroids.
        validation: for temperatures and thresholds.
        half: bool (samples,): the validation samples that these are fitted on.
        test: for the figures; None to take the held-out half of the validation samples.
    """

    training: RunData
    validation: RunData
    half: NDArray[np.bool_]
    test: RunData | None = None

    def manifests(self) -> dict[str, Manifest]:
        """Return the samples by what they are used for."""
        found = {"training": self.training.manifest, "validation": self.validation.manifest}
        return found if self.test is None else found | {"test": self.test.manifest}

    def splits(self) -> tuple[dict[str, Manifest], str]:
        """Return the samples by use, with the two halves of the validation samples, and the name of those measured."""
        if self.test is not None:
            return self.manifests(), "test"
        validation = self.validation.manifest
        found = {"training": self.training.manifest, "validation": validation.take(self.half)}
        return found | {"held-out": validation.take(~self.half)}, "held-out"


def write_model(
    folder: Path,
    recipe: Recipe,
    model: MultiTaskModel,
    forward: Forward,
    rows: RunSplits,
    provenance: Provenance,
    ages: AgeRegression | None = None,
) -> None:
    """Write a trained model's folder, and beside it its predictions for the samples of the figures.

    Args:
        folder: to write to.
        recipe: of the run.
        model: trained, on any device.
        forward: from the samples' inputs to logits.
        rows: samples to calibrate and measure on.
        provenance: of the model.
        ages: the scale of an age learned in years.

    Raises:
        UserError: no space or no write access.
    """
    outputs, usable = predict_samples(model, forward, rows.validation)
    manifest, half = rows.validation.manifest.take(usable), rows.half[usable]
    if ages is not None:
        ages = with_measured_deviation(ages, outputs[AGE][half], manifest.age_years[half])
    untrained = provenance.untrained_labels
    predictions = Predictions.from_outputs(manifest, outputs, ages, untrained=untrained)
    fit = calibrate(predictions.logits, manifest, half, mean_ages(rows.training.manifest))
    if rows.test is None:
        measured = predictions.take(~half)
    else:
        outputs, usable = predict_samples(model, forward, rows.test)
        measured = Predictions.from_outputs(rows.test.manifest.take(usable), outputs, ages, untrained=untrained)
    spec = replace(
        _description(folder, recipe, model, fit),
        age_regression=ages,
        **provenance.fields(),
    )
    _warn_of_calibration(fit, spec.uncalibrated, folder)
    spec = _with_metrics(spec, fit, measured, folder.parent / PREDICTIONS_FILE)
    save_model(folder, spec, _stored_tensors(recipe, model))


def _description(folder: Path, recipe: Recipe, model: MultiTaskModel, fit: Fit) -> ModelSpec:
    """Return what is known of a model from its recipe, its network and its calibration."""
    preprocess = model.backbone.preprocess
    return ModelSpec(
        name=recipe.name,
        backbone=backbone_reference(recipe, folder),
        image_size=preprocess.image_size,
        mean=preprocess.mean,
        std=preprocess.std,
        interpolation=preprocess.interpolation,
        tasks=model.tasks,
        adaptation=Adaptation.from_dict(recipe.adaptation).to_dict(),
        crop=recipe.data.crop,
        crop_margin=recipe.data.crop_margin,
        expressions=EXPRESSIONS if EXPRESSION in model.heads else (),
        **fit.fields(),
        uncalibrated=tuple(task for task in model.tasks if task not in fit.temperatures),
    )


def _warn_of_calibration(fit: Fit, uncalibrated: Sequence[str], folder: Path) -> None:
    for sentence in fit.warnings():
        _LOGGER.warning("%s%s", sentence[0].upper(), sentence[1:])
    if uncalibrated:
        _LOGGER.warning(_UNCALIBRATED, " and ".join(uncalibrated), folder)


def _with_metrics(spec: ModelSpec, fit: Fit, measured: Predictions, path: Path) -> ModelSpec:
    """Return a model's description with its metrics, and write the predictions that they are of."""
    years = expected_ages(measured, Fit.of(spec))
    write_predictions(path, measured, spec.temperatures, years)
    records = calibration_records(fit, measured, np.ones(len(measured.manifest), np.bool_))
    return replace(spec, metrics=figures(evaluate(measured, spec)), calibration=records)


def _stored_tensors(recipe: Recipe, model: MultiTaskModel) -> dict[str, Tensor]:
    if recipe.backbone.weights is None:
        return model.state_dict()
    tensors = trained_tensors(model)
    if recipe.stored_rank is None:
        return tensors
    start = build_starting_backbone(recipe).state_dict()
    return compress(tensors, {f"backbone.{name}": tensor for name, tensor in start.items()}, recipe.stored_rank)


@torch.inference_mode()
def predict_samples(
    model: MultiTaskModel, forward: Forward, rows: RunData
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_]]:
    """Return float32 (usable samples, outputs) per task, and bool (samples,): which samples' images could be read."""
    model.eval()
    device = next(model.parameters()).device
    parts, usable = [], []
    for start in range(0, len(rows.manifest), _BATCH):
        batch = collate([rows.inputs[(row, 0, 0)] for row in range(start, min(start + _BATCH, len(rows.manifest)))])
        parts.append(forward(batch.inputs.to(device), model.tasks))
        usable.append(batch.usable)
    logits = {task: torch.cat([part[task] for part in parts]).float().cpu().numpy() for task in model.tasks}
    readable = np.concatenate(usable)
    return {task: values[readable] for task, values in logits.items()}, readable


def figures(evaluation: Evaluation) -> dict[str, Any]:
    """Return the main metrics per data set and task, with confidence intervals, for model.json."""
    found: dict[str, Any] = {}
    for name, tasks in evaluation.results.items():
        for task, result in tasks.items():
            entry: dict[str, Any] = {
                "rows": result.rows,
                "accuracy": round(result.accuracy.value, 4),
                "accuracy_95": [round(result.accuracy.low, 4), round(result.accuracy.high, 4)],
                "balanced_accuracy": round(result.balanced_accuracy.value, 4),
                "balanced_accuracy_95": [
                    round(result.balanced_accuracy.low, 4),
                    round(result.balanced_accuracy.high, 4),
                ],
                "f1": {
                    label: None if score is None else round(score, 3)
                    for label, score in zip(LABELS[task], result.f1, strict=True)
                },
                "calibration_error": round(result.calibration.after, 4),
                "nll": round(result.calibration.nll[1], 4),
                "brier": round(result.calibration.brier[1], 4),
            }
            if result.off_by_one is not None:
                entry["off_by_one"] = round(result.off_by_one.value, 4)
            if result.years is not None:
                years = {"mae_years": result.years.mae, "plcc": result.years.plcc, "srocc": result.years.srocc}
                for figure, estimate in years.items():
                    if not np.isnan(estimate.value):
                        entry[figure] = round(estimate.value, 3)
                        entry[f"{figure}_95"] = [round(estimate.low, 3), round(estimate.high, 3)]
            found.setdefault(name, {})[task] = entry
    return found
