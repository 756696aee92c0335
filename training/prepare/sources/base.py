"""What a reader of a data set is, and what all of them share."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from facial_attributes_training.manifest import MAX_AGE, Row
from facial_attributes_training.prepare.left_out import LeftOut

from facial_attributes_ros.attributes import AGE, LABELS, age_group_of
from facial_attributes_ros.errors import UserError

Found = Iterator[Row | LeftOut]
"""What a reader yields: rows, and what it leaves out for its labels."""

BAD_LABEL = "label outside the range"
NO_LABEL = "no label"


@dataclass(frozen=True, slots=True)
class Source:
    """A data set as its owner gives it out.

    Attributes:
        name: what users call it on the command line and in the column `source`.
        title: its full name.
        owner: who gives it out and how, as the end of a sentence.
        read: yields the rows below a folder; paths as they lie there.
        close_up: its pictures are cut around one face, not whole photographs.
        single_face: its labels speak of one person, but do not say which of several faces.
    """

    name: str
    title: str
    owner: str
    read: Callable[[Path], Found]
    close_up: bool = True
    single_face: bool = False


def require(path: Path, title: str, owner: str) -> Path:
    """Return a path that must be there.

    Raises:
        UserError: it is not; the message says who gives the data set out.
    """
    if not path.exists():
        raise UserError(f"{title} is not there: {path} is missing; it is given out by {owner}.")
    return path


def read_table(path: Path, columns: Iterable[str] = (), spaced: bool = False) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and cells of every line of a CSV file.

    Args:
        path: of the file.
        columns: that it must have.
        spaced: cells are separated by a comma and a space.

    Raises:
        UserError: the file can't be read or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=spaced)
            lacking = [name for name in columns if name not in (reader.fieldnames or ())]
            if lacking:
                raise UserError(f"{path} has no column {', '.join(lacking)}; is it the file of another data set?")
            for cells in reader:
                yield reader.line_num, {name: (text or "").strip() for name, text in cells.items() if name is not None}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} can't be read as CSV: {error}.") from error


def labelled(
    row: Row, years: float | None = None, classes: Mapping[str, str | None] | None = None, problem: str = ""
) -> Row | LeftOut:
    """Return a row with its labels, or why it is left out: a label is outside the range, or there is none.

    Args:
        row: everything but the labels.
        years: age in years; gives the age group as well.
        classes: label per task, None or empty where the data set has none for this row.
        problem: a clause on a label that the reader could not make out, empty if there was none.
    """
    labels = {task: label for task, label in (classes or {}).items() if label}
    problems = [f"{task} {label!r}" for task, label in labels.items() if label not in LABELS[task]]
    if years is not None and not 0 <= years <= MAX_AGE:
        problems.append(f"age in years {years:g}")
    if problem or problems:
        return LeftOut.of(row, BAD_LABEL, problem or ", ".join(problems))
    if years is not None:
        labels[AGE] = LABELS[AGE][age_group_of(years)]
    if not labels:
        return LeftOut.of(row, NO_LABEL)
    return Row(row.path, row.split, row.source, labels, years, row.box, row.extra)


def number(text: str) -> float:
    """Return a number, NaN if the text is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
