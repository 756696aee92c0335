"""LAGENDA (M. Kuprashevich, I. Tolstykh, 2023): age in years and gender of the people in photographs."""

import math
from functools import partial
from pathlib import Path

from facial_attributes_training.data.manifest import Row
from facial_attributes_training.prepare.excluded import Excluded
from facial_attributes_training.prepare.sources.base import Cells, Found, Source, labelled, number, read_rows, require

from facial_attributes_ros.attributes import GENDER

_CORNERS = ("face_x0", "face_y0", "face_x1", "face_y1")
_COLUMNS = ("img_name", "age", "gender", *_CORNERS)
_GENDERS = {"M": "male", "F": "female"}


def read_lagenda(folder: Path) -> Found:
    """Yield one sample a face of every CSV in the folder; the file's name is the split, else it is test.

    People without a face box are excluded, and -1 is a missing value.
    """
    require(folder, LAGENDA.title, LAGENDA.owner)
    tables = sorted(folder.glob("*.csv")) or [require(folder / "lagenda_test.csv", LAGENDA.title, LAGENDA.owner)]
    for table in tables:
        split = next((name for name in ("train", "val") if name in table.stem), "test")
        yield from read_rows(table, _COLUMNS, split, LAGENDA.name, partial(_row, folder, split))


def _row(folder: Path, split: str, cells: Cells) -> Row | Excluded:
    path = str(folder / cells["img_name"])
    x0, y0, x1, y1 = (number(cells[name]) for name in _CORNERS)
    if not (x1 > x0 and y1 > y0):
        return Excluded(path, split, LAGENDA.name, "no face", "the annotation has no face box")
    return labelled(Row(path, split, LAGENDA.name, box=(x0, y0, x1 - x0, y1 - y0)), *_labels(cells))


def _labels(cells: Cells) -> tuple[float | None, dict[str, str | None], str]:
    """Return age in years, classes, and what can't be made out."""
    age, gender = number(cells["age"]), cells["gender"]
    known_gender = gender in _GENDERS or gender in ("", "-1")
    problem = "" if not math.isnan(age) else f"age {cells['age']!r}"
    problem = problem if known_gender else f"gender {gender!r}"
    return (None if age == -1 else age), {GENDER: _GENDERS.get(gender)}, problem


LAGENDA = Source(
    "lagenda",
    "LAGENDA",
    "its authors (Kuprashevich and Tolstykh) on the project page of their MiVOLO work; the images are Open Images'",
    read_lagenda,
    close_up=False,
)
