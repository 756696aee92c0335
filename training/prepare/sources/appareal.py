"""APPA-REAL (E. Agustsson and others, 2017): real age in years."""

from functools import partial
from pathlib import Path

from facial_attributes_training.data.manifest import Row
from facial_attributes_training.prepare.excluded import Excluded
from facial_attributes_training.prepare.sources.base import Cells, Found, Source, labelled, read_rows, require
from facial_attributes_training.prepare.splits import standard_split


def read_appareal(folder: Path) -> Found:
    """Yield the face images of `gt_avg_train.csv`, `gt_avg_valid.csv` and `gt_avg_test.csv` with their real age."""
    for name in ("train", "valid", "test"):
        split = standard_split(name)
        table = require(folder / f"gt_avg_{name}.csv", APPAREAL.title, APPAREAL.owner)
        make = partial(_row, folder / name, split)
        yield from read_rows(table, ("file_name", "real_age"), split, APPAREAL.name, make)


def _row(images: Path, split: str, cells: Cells) -> Row | Excluded:
    row = Row(str(images / f"{cells['file_name']}_face.jpg"), split, APPAREAL.name)
    return labelled(row, years=cells["real_age"])


APPAREAL = Source(
    "appa-real",
    "APPA-REAL",
    "ChaLearn (Looking at People, Computer Vision Center Barcelona) for non-commercial research",
    read_appareal,
)
