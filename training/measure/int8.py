"""Whether a model may run in int8: the accuracy that it loses on labelled samples."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.data.sampling import spread_subset
from facial_attributes_training.measure.agreement import Agreement, compare_engines
from facial_attributes_training.measure.predictions import Progress, predict_manifest

from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.models.spec import ModelSpec

ALLOWED_LOSS: Final = 0.005
"""Largest loss of accuracy, in any task and data set, with which a model runs in int8."""
SAMPLES: Final = 2000
"""Samples that the two engines are compared on at most."""
_FEWEST: Final = 100
"""Samples of a data set and task from which on its loss counts: of fewer, one sample is more than the loss allowed."""

_LOGGER = logging.getLogger(__name__)


def decide_int8(folder: Path, manifest: Manifest, progress: Progress | None = None) -> list[Agreement]:
    """Compare a model's int8 engine with its float32 engine and write into its description whether int8 may be used.

    Args:
        folder: of the model.
        manifest: labelled samples that the model was not trained on; at most `SAMPLES` of them are used.
        progress: called after every batch with the number of samples done and their total.

    Returns:
        The comparison by data set and task.

    Raises:
        UserError: an engine can't be built, or no sample can be read.
    """
    manifest = manifest.take(spread_subset(len(manifest), SAMPLES))
    int8, float32 = (
        predict_manifest(load_engine(folder, "cpu", engine), manifest, progress=progress)
        for engine in ("onnx-int8", "onnx")
    )
    compared = compare_engines(int8, float32)
    counted = [each for each in compared if each.rows >= _FEWEST]
    allowed = bool(counted) and all(each.other - each.accuracy <= ALLOWED_LOSS for each in counted)
    replace(ModelSpec.read(folder), int8=allowed).write(folder)
    for each in compared:
        _LOGGER.info(
            "int8 on %s, %s: accuracy %.2f %%, float32 %.2f %%, %d samples.",
            each.data_set,
            each.task,
            100 * each.accuracy,
            100 * each.other,
            each.rows,
        )
    return compared
