"""Any folder of pictures with a CSV, and manifests that are there already."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from facial_attributes_training.manifest import BOX_COLUMNS, COLUMNS, LABEL_COLUMNS, Row, read_manifest
from facial_attributes_training.prepare.sources.base import Found, Source, labelled, number, read_table, require

from facial_attributes_ros.attributes import TASKS
from facial_attributes_ros.errors import UserError


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How a CSV of one's own maps to a manifest.

    Attributes:
        columns: the CSV's column by the manifest's; columns of the same name need no entry.
        values: our label by the CSV's, per label column, as in {"gender": {"M": "male"}}.
        source: what to call the data set; the CSV's name if empty.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    source: str = ""


def read_csv(table: Path, options: TableOptions) -> Found:
    """Yield the rows of a CSV whose paths are relative to it; every column that is not used is kept.

    Raises:
        UserError: the file or a column is missing, or the options name columns that a manifest does not have.
    """
    unknown = sorted({*options.columns, *options.values} - set(COLUMNS))
    if unknown:
        raise UserError(f"a manifest has no column {', '.join(unknown)}; it has {', '.join(COLUMNS)}.")
    require(table, "The CSV", "you")
    theirs = {name: options.columns.get(name, name) for name in COLUMNS}
    used = set(theirs.values())
    for _, cells in read_table(table, (theirs["path"], *options.columns.values())):
        text = {name: cells.get(column, "") for name, column in theirs.items()}
        box = tuple(number(text[name]) for name in BOX_COLUMNS)
        row = Row(
            str(table.parent / text["path"]),
            text["split"],
            text["source"] or options.source or table.stem,
            box=box if box[2] > 0 and box[3] > 0 else None,  # type: ignore[arg-type]
            extra={name: value for name, value in cells.items() if name not in used},
        )
        classes = {task: _label(text[LABEL_COLUMNS[task]], LABEL_COLUMNS[task], options) for task in TASKS}
        years = number(text["age_years"]) if text["age_years"] else None
        yield labelled(row, years, classes)


def read_manifest_rows(table: Path) -> Found:
    """Yield the rows of a manifest, or of the `manifest.csv` in a folder."""
    yield from read_manifest(table / "manifest.csv" if table.is_dir() else table).rows()


def _label(text: str, column: str, options: TableOptions) -> str:
    """Return our label of a CSV's; upper and lower case are the same."""
    return options.values.get(column, {}).get(text, text.lower())


MANIFEST = Source("manifest", "The manifest", "whoever made it", read_manifest_rows)
