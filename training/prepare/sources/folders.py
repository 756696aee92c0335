"""Images sorted into folders that are named as their labels, such as `train/angry/0.jpg`."""

import shlex
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from facial_attributes_training.data.manifest import LABEL_COLUMNS, Row
from facial_attributes_training.prepare.excluded import Excluded
from facial_attributes_training.prepare.sources.base import BAD_LABEL, NO_LABEL, Found, labelled, require
from facial_attributes_training.prepare.sources.table import TableOptions
from facial_attributes_training.prepare.splits import standard_split

from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging import formats
from facial_attributes_ros.imaging.folders import files_in

_SPLITS = ("train", "val", "test")
_OTHER_NAMES: Final = {
    "surprise": ("astonished", "astonishment", "surprised"),
    "fear": ("afraid", "anxious", "fearful", "scared"),
    "disgust": ("disgusted",),
    "happy": ("happiness", "joy", "joyful", "smile", "smiling"),
    "sad": ("sadness", "unhappy"),
    "angry": ("anger", "mad"),
    "neutral": ("calm", "normal"),
    "male": ("boy", "boys", "m", "man", "men"),
    "female": ("f", "girl", "girls", "woman", "women"),
}
"""Names that people give to folders of a label."""
_ALIKE: Final = 0.7
"""Similarity of two names, 0 to 1, from which on one may stand for the other."""


def read_folders(folder: Path, options: TableOptions) -> Found:
    """Yield every image below a folder, labelled by its folders.

    Folders named as a label of any task give that label, and those named as a split give the split; others are ignored.

    Args:
        folder: the uppermost.
        options: `values` map folders to labels, as in {"emotion": {"anger": "angry"}}; `source` is the data
            set's name, the folder's if empty.

    Raises:
        UserError: the folder is missing or contains no image, or a label does not exist.
    """
    options.check()
    require(folder, "The folder", "you")
    source = options.source or folder.resolve().name
    path = None
    for path in files_in(folder, formats.SUFFIXES):
        yield _row(path, path.relative_to(folder).parts[:-1], source, options)
    if path is None:
        raise UserError(f"{folder} contains no images.")


def _row(path: Path, folders: tuple[str, ...], source: str, options: TableOptions) -> Row | Excluded:
    split = next((split for name in folders if (split := standard_split(name)) in _SPLITS), "")
    found = [
        (task, label)
        for name in folders
        for task, column in LABEL_COLUMNS.items()
        if (label := options.label(column, name)) in LABELS[task]
    ]
    row = Row(str(path), split, source)
    if len(dict(found)) < len(found):
        return Excluded.of(row, BAD_LABEL, f"its folders give several labels: {', '.join(label for _, label in found)}")
    if not found:
        return Excluded.of(row, NO_LABEL, _unknown(folders))
    return labelled(row, classes=dict(found))


def _unknown(folders: tuple[str, ...]) -> str:
    """Return which folder of an image is no label, and the option that would map it."""
    names = [name for name in folders if standard_split(name) not in _SPLITS]
    if not names:
        return "it is in no folder with the name of a label"
    name = names[-1]
    likely = _likely_label(name)
    column, label = likely or ("age_group" if name[:1].isdigit() else "emotion", "LABEL")
    then = f"is {label}" if likely else "stands for one"
    return f"the folder {name} is no label; if it {then}, add --value {column}:{shlex.quote(name)}={label}"


def _likely_label(name: str) -> tuple[str, str] | None:
    """Return the column and the label that a folder's name may stand for, None if it resembles none."""
    known = {
        other: (column, label)
        for task, column in LABEL_COLUMNS.items()
        for label in LABELS[task]
        for other in (label, *_OTHER_NAMES.get(label, ()))
    }
    near = get_close_matches(name.lower(), known, 1, _ALIKE)
    return known[near[0]] if near else None
