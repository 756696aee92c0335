"""Images sorted into folders that are named as their labels, such as `train/angry/0.jpg`."""

from pathlib import Path

from facial_attributes_training.data.manifest import LABEL_COLUMNS, Row
from facial_attributes_training.prepare.excluded import Excluded
from facial_attributes_training.prepare.sources.base import BAD_LABEL, Found, labelled, require
from facial_attributes_training.prepare.sources.table import TableOptions
from facial_attributes_training.prepare.splits import standard_split

from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging import formats
from facial_attributes_ros.imaging.folders import files_in

_SPLITS = ("train", "val", "test")


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
    return labelled(row, classes=dict(found))
