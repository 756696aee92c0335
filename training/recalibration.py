"""A model's own temperatures, thresholds and figures, made anew from predictions."""

from dataclasses import replace
from pathlib import Path

from facial_attributes_training.evaluation import Evaluation, evaluate
from facial_attributes_training.predictions import Predictions
from facial_attributes_training.results import figures
from facial_attributes_training.subsets import first_half

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.spec import ModelSpec


def save_calibration(folder: Path, evaluation: Evaluation, predictions: Predictions) -> Path:
    """Write the fitted temperatures and thresholds, and figures of the other half, into a model's `model.json`.

    Args:
        folder: of the model.
        evaluation: with what was fitted.
        predictions: that it is of.

    Returns:
        The file.

    Raises:
        UserError: nothing was fitted, or the file can't be read or written.
    """
    if not evaluation.fitted:
        raise UserError("only a calibration that is fitted here can be saved: add --calibrate.")
    spec = ModelSpec.read(folder)
    spec = replace(
        spec,
        temperatures=spec.temperatures | evaluation.temperatures,
        thresholds=spec.thresholds | evaluation.thresholds,
    )
    measured = evaluate(predictions.take(~first_half(predictions.manifest)), spec)
    return replace(spec, metrics=figures(measured)).write(folder)
