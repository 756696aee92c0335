"""Pictures of the ages of a run: of its splits, and true against expected."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from facial_attributes_training.evaluation import measure_years
from facial_attributes_training.manifest import Manifest
from facial_attributes_training.plots import ages_figure, ages_histogram, save_figure
from facial_attributes_training.run_files import PLOTS, PREDICTIONS_FILE
from numpy.typing import NDArray

SCATTER_FILE, HISTOGRAM_FILE = "years.png", "ages.png"


def write_age_plots(folder: Path, splits: Mapping[str, Manifest]) -> None:
    """Draw the ages of the splits, and true against expected ages, where there are ages in years.

    Args:
        folder: of a run that has come to its end.
        splits: rows by what they were used for.

    Raises:
        UserError: no space or no write access.
    """
    ages = {name: manifest.age_years for name, manifest in splits.items()}
    if any(np.isfinite(years).any() for years in ages.values()):
        save_figure(ages_histogram(ages, "ages of the splits"), folder / PLOTS / HISTOGRAM_FILE)
    true, expected = _ages(folder / PREDICTIONS_FILE)
    if (years := measure_years(true, expected)) is not None:
        save_figure(ages_figure(years, "age"), folder / PLOTS / SCATTER_FILE)


def _ages(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return true and expected ages in years, (rows,) each, of the predictions that have both."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [(row["age_years"], row["expected_age"]) for row in csv.DictReader(file)]
    pairs = np.array([pair for pair in rows if all(pair)], np.float64).reshape(-1, 2)
    return pairs[:, 0].astype(np.float32), pairs[:, 1]
