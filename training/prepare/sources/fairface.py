"""FairFace (K. Karkkainen, J. Joo, 2021): age group, gender and ethnicity."""

from functools import partial
from pathlib import Path

from facial_attributes_training.data.manifest import Row
from facial_attributes_training.prepare.excluded import Excluded
from facial_attributes_training.prepare.sources.base import Cells, Found, Source, labelled, read_rows, require

from facial_attributes_ros.attributes import AGE, GENDER

_COLUMNS = ("file", "age", "gender", "race")


def read_fairface(folder: Path) -> Found:
    """Yield the samples of `fairface_label_train.csv` and `fairface_label_val.csv`, with paths relative to them."""
    for split in ("train", "val"):
        table = require(folder / f"fairface_label_{split}.csv", FAIRFACE.title, FAIRFACE.owner)
        yield from read_rows(table, _COLUMNS, split, FAIRFACE.name, partial(_row, folder, split))


def _row(folder: Path, split: str, cells: Cells) -> Row | Excluded:
    row = Row(str(folder / cells["file"]), split, FAIRFACE.name, extra={"ethnicity": cells["race"]})
    age = "70+" if cells["age"] == "more than 70" else cells["age"]
    return labelled(row, classes={AGE: age, GENDER: cells["gender"].lower()})


FAIRFACE = Source(
    "fairface",
    "FairFace",
    "its authors (Karkkainen and Joo) in their GitHub repository, images and label files apart",
    read_fairface,
)
