"""APPA-REAL (E. Agustsson and others, 2017): real age in years."""

from pathlib import Path

from facial_attributes_training.manifest import Row
from facial_attributes_training.prepare.sources.base import Found, Source, labelled, number, read_table, require

_SPLITS = {"train": "train", "valid": "val", "test": "test"}


def read_appareal(folder: Path) -> Found:
    """Yield the face pictures of `gt_avg_train.csv`, `gt_avg_valid.csv` and `gt_avg_test.csv` with their real age."""
    for name, split in _SPLITS.items():
        table = require(folder / f"gt_avg_{name}.csv", APPAREAL.title, APPAREAL.owner)
        for _, cells in read_table(table, ("file_name", "real_age")):
            row = Row(str(folder / name / f"{cells['file_name']}_face.jpg"), split, APPAREAL.name)
            years = number(cells["real_age"])
            yield labelled(row, years=years)


APPAREAL = Source(
    "appa-real",
    "APPA-REAL",
    "ChaLearn (Looking at People, Computer Vision Center Barcelona) for non-commercial research",
    read_appareal,
)
