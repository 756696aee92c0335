"""Any folder of images with a CSV, and existing manifests."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from facial_attributes_training.data.manifest import BOX_COLUMNS, COLUMNS, IDENTITY, LABEL_COLUMNS, Row, read_manifest
from facial_attributes_training.data.subsets import ORIGIN
from facial_attributes_training.prepare.excluded import Excluded
from facial_attributes_training.prepare.sources.base import Cells, Found, Source, labelled, number, read_rows, require
from facial_attributes_training.prepare.splits import standard_split

from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.errors import UserError

FURTHER_COLUMNS = (IDENTITY, ORIGIN)
"""Further columns of a manifest with a meaning: the identity of the person, and the origin of an image."""


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How a user's CSV maps to a manifest.

    Attributes:
        columns: the CSV's column by the manifest's, or by one of `FURTHER_COLUMNS`; columns of the same name need no
            entry.
        values: our label by the CSV's, per label column, as in {"gender": {"M": "male"}}.
        source: name of the data set; the CSV's name if empty.
        pictures: folder that paths are relative to; the CSV's if None.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    source: str = ""
    pictures: Path | None = None

    def check(self) -> None:
        """Raise `UserError` if a manifest has no such columns, or no such labels."""
        unmapped = sorted(self.values.keys() - {*LABEL_COLUMNS.values()})
        if unmapped:
            labels = ", ".join(LABEL_COLUMNS.values())
            raise UserError(f"only the values of {labels} can be mapped, not those of {', '.join(unmapped)}.")
        unknown = sorted(self.columns.keys() - {*COLUMNS, *FURTHER_COLUMNS})
        if unknown:
            known = ", ".join((*COLUMNS, *FURTHER_COLUMNS))
            raise UserError(f"a manifest has no column {', '.join(unknown)}; it has {known}.")
        for task, column in LABEL_COLUMNS.items():
            wrong = sorted(set(self.values.get(column, {}).values()) - {*LABELS[task], ""})
            if wrong:
                raise UserError(f"{column} can't be {', '.join(wrong)}; it is one of {', '.join(LABELS[task])}.")

    def label(self, column: str, text: str) -> str:
        """Return our label for the CSV's text in a column; upper and lower case are the same."""
        return self.values.get(column, {}).get(text, text.lower())


def read_csv(table: Path, options: TableOptions) -> Found:
    """Yield the samples of a CSV; unused columns are kept, and Validation and the like become val.

    Raises:
        UserError: the file or a column is missing, or the options name columns or labels that a manifest does not have.
    """
    options.check()
    require(table, "The CSV", "you")
    source = options.source or table.stem
    columns = (options.columns.get("path", "path"), *options.columns.values())
    yield from read_rows(table, columns, "", source, partial(_row, options.pictures or table.parent, source, options))


def _row(folder: Path, source: str, options: TableOptions, cells: Cells) -> Row | Excluded:
    theirs = {name: options.columns.get(name, name) for name in (*COLUMNS, *FURTHER_COLUMNS)}
    text = {name: cells.get(column, "") for name, column in theirs.items()}
    extra = {name: value for name, value in cells.items() if name and name not in {*theirs, *theirs.values()}}
    extra |= {name: text[name] for name in FURTHER_COLUMNS if text[name]}
    row = Row(str(folder / text["path"]), standard_split(text["split"]), text["source"] or source, extra=extra)
    if not text["path"]:
        return Excluded.of(row, "no image named")
    numbers = [number(text[name]) for name in BOX_COLUMNS]
    if any(text[name] for name in BOX_COLUMNS):
        if not (all(map(math.isfinite, numbers)) and numbers[2] > 0 and numbers[3] > 0):
            return Excluded.of(row, "no box", ", ".join(text[name] for name in BOX_COLUMNS))
        x, y, width, height = numbers
        row = replace(row, box=(x, y, width, height))
    classes = {task: options.label(column, text[column]) for task, column in LABEL_COLUMNS.items()}
    return labelled(row, text["age_years"] or None, classes)


def read_manifest_rows(table: Path) -> Found:
    """Yield the samples of a manifest, or of the `manifest.csv` in a folder."""
    yield from read_manifest(table / "manifest.csv" if table.is_dir() else table).rows()


MANIFEST = Source("manifest", "The manifest", "its author", read_manifest_rows)
