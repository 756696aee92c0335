"""The label files of Sessa's thesis: class indices of every task, -100 where a label is missing."""

import math
from functools import partial
from pathlib import Path, PureWindowsPath

from facial_attributes_training.data.manifest import Row
from facial_attributes_training.prepare.excluded import Excluded
from facial_attributes_training.prepare.sources.base import Cells, Found, Source, labelled, number, read_rows, require

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, MISSING

_COLUMNS = {GENDER: "Gender", AGE: "Age", EMOTION: "Facial Emotion"}
_EXTRA = {"Ethnicity": "ethnicity", "Identity": "identity"}
_DATA_ROOT = "datasets_with_standard_labels"


def read_sessa(folder: Path) -> Found:
    """Yield the samples of every `labels.csv` below a folder laid out as DATASET/SPLIT/labels.csv.

    Paths in the files begin with `datasets_with_standard_labels`; that folder is searched here and above, and a path
    without a suffix is a JPEG.
    """
    tables = sorted(folder.rglob("labels.csv")) or [require(folder / "labels.csv", SESSA.title, SESSA.owner)]
    root = next((base for base in (folder, *folder.resolve().parents) if (base / _DATA_ROOT).is_dir()), folder)
    for table in tables:
        split, source = table.parent.name, table.parent.parent.name
        make = partial(_row, root, split, source)
        yield from read_rows(table, ("Path", *_COLUMNS.values()), split, source, make)


def _row(root: Path, split: str, source: str, cells: Cells) -> Row | Excluded:
    if not cells["Path"].strip():
        return Excluded("", split, source, "no path")
    path = Path(*PureWindowsPath(cells["Path"]).parts)
    path = path if path.suffix else path.with_name(path.name + ".jpg")
    extra = {ours: index for theirs, ours in _EXTRA.items() if (index := _index(cells.get(theirs, "")))}
    classes = {task: _label(task, cells[column]) for task, column in _COLUMNS.items()}
    return labelled(Row(str(root / path), split, source, extra=extra), classes=classes)


def _index(text: str) -> str:
    """Return a class index as text, empty where it is missing; the files write some as 3.0."""
    value = number(text)
    return "" if math.isnan(value) or value == MISSING else f"{value:g}"


def _label(task: str, text: str) -> str | None:
    index = _index(text)
    if not index:
        return None
    return LABELS[task][int(index)] if index.isdigit() and int(index) < len(LABELS[task]) else f"index {index}"


SESSA = Source(
    "reference",
    "Sessa's label files",
    "A. Sessa in the folder labels of the thesis' public code; the images by each data set's owner",
    read_sessa,
)
