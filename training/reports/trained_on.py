"""The rows that a model was trained on, where its run still lies around it, and what others share with them."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.fit.run_data import read_samples
from facial_attributes_training.fit.run_files import COMPARED_FILE
from facial_attributes_training.prepare.leaks import Comparison, compare_splits
from facial_attributes_training.reports.comparison import recipe_of

from facial_attributes_ros.errors import UserError

NOT_KNOWN = "It is not known which rows the model was trained on, so these were compared with none."
MEASURED = "measured"


def compare_with_training(
    model: Path, manifest: Manifest, files: Sequence[Path], out: Path | None = None
) -> Comparison | None:
    """Compare rows with those that a model was trained on and chosen by; None where these are not known.

    They are known of a model in the folder of its run, as long as the manifests that the recipe names are there.

    Args:
        model: folder of the model.
        manifest: rows to measure on.
        files: CSV files that they are from.
        out: folder to keep what is found in pictures that `prepare` has not looked at; None keeps nothing.
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
