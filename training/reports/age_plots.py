"""Pictures of the ages of a run: of its splits, and true against expected."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.data.table_files import numbers, read_table
from facial_attributes_training.fit.run_files import PLOTS, PREDICTIONS_FILE
from facial_attributes_training.measure.evaluation import measure_years
from facial_attributes_training.reports.plots import ages_figure, ages_histogram, save_figure
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
    columns = ("age_years", "expected_age")
    rows = [numbers(path, row, columns) for row in read_table(path, columns) if all(row[name] for name in columns)]
    pairs = np.array(rows, np.float64).reshape(-1, 2)
    return pairs[:, 0].astype(np.float32), pairs[:, 1]
