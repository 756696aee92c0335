"""The model folder at the end of a run: weights, age centroids, calibration, thresholds, metrics."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facial_attributes_training.data.datasets import collate
from facial_attributes_training.fit.network import Forward, build_starting_backbone
from facial_attributes_training.fit.provenance import backbone_reference
from facial_attributes_training.fit.regression import with_measured_deviation
from facial_attributes_training.fit.run_data import RunData
from facial_attributes_training.fit.run_folder import PREDICTIONS_FILE
from facial_attributes_training.fit.stages import Run
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
from facial_attributes_ros.models.spec import ModelSpec

_LOGGER = logging.getLogger(__name__)
_BATCH = 256
_UNCALIBRATED = (
    "Labels of %s are published as unknown, since there were too few samples to fit a threshold: calibrate on labelled "
    "samples with `facial-attributes evaluate --model %s --manifest CSV --calibrate "
    "--save-calibration MODEL`, or set the node's thresholds."
)


Outputs = tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_]]
"""Float32 (usable samples, outputs) per task, and bool (samples,): which samples' images could be read."""


def write_model(folder: Path, run: Run) -> None:
    """Write a trained model's folder, and beside it its predictions for the samples of the figures.

    Args:
        folder: to write to.
        run: with the model trained, on any device.

    Raises:
        UserError: no space or no write access.
    """
    recipe, provenance, ages = run.recipe, run.known.provenance, run.plan.ages
    validation = run.rows["validation"]
    outputs, usable = predict_samples(run.model, run.forward, validation)
    manifest, half = validation.manifest.take(usable), run.plan.half[usable]
    if ages is not None:
        ages = with_measured_deviation(ages, outputs[AGE][half], manifest.age_years[half])
    untrained = provenance.untrained_labels
    predictions = Predictions.from_outputs(manifest, outputs, ages, untrained=untrained)
    fit = calibrate(predictions.logits, manifest, half, mean_ages(run.rows["training"].manifest))
    if "test" not in run.rows:
        measured = predictions.take(~half)
    else:
        test = run.rows["test"]
        outputs, usable = predict_samples(run.model, run.forward, test)
        measured = Predictions.from_outputs(test.manifest.take(usable), outputs, ages, untrained=untrained)
    spec = replace(
        description(folder, recipe, run.model, fit),
        age_regression=ages,
        **provenance.fields(),
    )
    warn_of_calibration(fit, spec.uncalibrated, folder)
    spec = _with_metrics(spec, fit, measured, folder.parent / PREDICTIONS_FILE)
    save_model(folder, spec, _stored_tensors(recipe, run.model))


def description(folder: Path, recipe: Recipe, model: MultiTaskModel, fit: Fit) -> ModelSpec:
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


def warn_of_calibration(fit: Fit, uncalibrated: Sequence[str], folder: Path) -> None:
    """Log a sentence on every task that was not calibrated, or on few samples."""
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
def predict_samples(model: MultiTaskModel, forward: Forward, rows: RunData) -> Outputs:
    """Return what a model gives for samples."""
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
