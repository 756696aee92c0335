"""AffectNet (A. Mollahosseini, B. Hasani, M. Mahoor, 2017): emotion; both layouts it was given out in."""

from functools import partial
from pathlib import Path

import numpy as np
from facial_attributes_training.data.manifest import Row
from facial_attributes_training.prepare.excluded import Excluded
from facial_attributes_training.prepare.sources.base import (
    BAD_LABEL,
    NO_LABEL,
    Cells,
    Found,
    Source,
    first_there,
    labelled,
    number,
    read_rows,
    require,
)

from facial_attributes_ros.attributes import EMOTION

_EXPRESSIONS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry")
_OTHERS = {7: "contempt", 8: "none", 9: "uncertain", 10: "no face"}
"""Expressions that are none of the seven emotions."""
_BOX_COLUMNS = ("face_x", "face_y", "face_width", "face_height")
_COLUMNS = ("subDirectory_filePath", *_BOX_COLUMNS, "facial_landmarks", "expression", "valence", "arousal")
_IMAGES = "Manually_Annotated_Images"


def read_affectnet(folder: Path) -> Found:
    """Yield the manually annotated images of either layout.

    The first has `Manually_Annotated_file_lists/training.csv` and `validation.csv`, with or without a line that names
    the columns; the second has `train_set` and `val_set`, each with `images` and `annotations`.
    """
    if (folder / "train_set").is_dir() or (folder / "val_set").is_dir():
        return _read_annotation_files(folder)
    return _read_lists(folder)


def _read_lists(folder: Path) -> Found:
    # The archives of the images unpack to different folders.
    parents = (folder, folder / "Manually_Annotated", folder / "Manually_Annotated_compressed")
    images = first_there(*(parent / _IMAGES for parent in parents))
    for split, name in (("train", "training.csv"), ("val", "validation.csv")):
        table = require(folder / "Manually_Annotated_file_lists" / name, AFFECTNET.title, AFFECTNET.owner)
        make = partial(_listed, images, split)
        yield from read_rows(table, ("expression", *_BOX_COLUMNS), split, AFFECTNET.name, make, _COLUMNS)


def _listed(images: Path, split: str, cells: Cells) -> Row | Excluded:
    x, y, width, height = (number(cells[column]) for column in _BOX_COLUMNS)
    box = (x, y, width, height) if width > 0 and height > 0 else None
    return _row(Row(str(images / cells["subDirectory_filePath"]), split, AFFECTNET.name, box=box), cells["expression"])


def _read_annotation_files(folder: Path) -> Found:
    for split in ("train", "val"):
        annotations = folder / f"{split}_set" / "annotations"
        for path in sorted((folder / f"{split}_set" / "images").glob("*.jpg"), key=lambda path: path.stem.zfill(9)):
            row = Row(str(path), split, AFFECTNET.name)
            try:
                expression = str(np.load(annotations / f"{path.stem}_exp.npy", allow_pickle=False))
            except Exception as error:  # NumPy raises EOFError, TokenError and more for damaged files
                yield Excluded.of(row, NO_LABEL, f"its annotation can't be read: {error}")
                continue
            yield _row(row, expression)


def _row(row: Row, expression: str) -> Row | Excluded:
    index = int(expression) if expression.isdigit() else -1
    if index in _OTHERS:
        return Excluded.of(row, f"emotion is {_OTHERS[index]}")
    if not 0 <= index < len(_EXPRESSIONS):
        return Excluded.of(row, BAD_LABEL, f"expression {expression!r}")
    return labelled(row, classes={EMOTION: _EXPRESSIONS[index]})


AFFECTNET = Source(
    "affectnet",
    "AffectNet",
    "its authors (Mahoor's group, University of Denver) on request for research",
    read_affectnet,
)
