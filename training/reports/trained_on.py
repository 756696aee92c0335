"""The overlap of samples with those that a model was trained on, if the model is still in the folder of its run."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.fit.run_data import read_samples
from facial_attributes_training.fit.run_folder import COMPARED_FILE
from facial_attributes_training.prepare.split_overlap import Comparison, compare_splits
from facial_attributes_training.reports.finished_runs import recipe_of

from facial_attributes_ros.errors import UserError

NOT_KNOWN = "The training samples of this model are not known, so the overlap with them was not measured."
MEASURED = "measured"


def compare_with_training(
    model: Path, manifest: Manifest, files: Sequence[Path], out: Path | None = None
) -> Comparison | None:
    """Compare samples with the training and validation samples of a model; None where these are not known.

    They are known if the model is in the folder of its run, and the manifests that the recipe names exist.

    Args:
        model: folder of the model.
        manifest: samples to measure on.
        files: their CSV files.
        out: folder for the hashes of images that `prepare` has not scanned; None keeps nothing.
    """
    try:
        recipe = recipe_of(model.resolve().parent)
        data = recipe.data
        splits = {
            "training": read_samples(recipe, data.train).manifest,
            "validation": read_samples(recipe, data.validation).manifest,
            MEASURED: manifest,
        }
    except UserError:
        return None
    known = [*files, *(wanted.manifest for wanted in (*data.train, *data.validation))]
    with TemporaryDirectory() as folder:
        return compare_splits(splits, MEASURED, known, (out or Path(folder)) / COMPARED_FILE)
