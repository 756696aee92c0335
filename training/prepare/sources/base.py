"""What a reader of a data set is, and what all of them share."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
BAD_LINE = "line with too many or too few cells"

Cells = dict[str, str]
"""Texts of a line of a CSV file by column."""

_DELIMITERS = ",;\t"


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


def first_there(*candidates: Path) -> Path:
    """Return the first of some places that exists, the first of all if none does."""
    return next((path for path in candidates if path.exists()), candidates[0])


def read_table(path: Path, columns: Iterable[str] = (), names: Sequence[str] = ()) -> Iterator[tuple[int, Cells]]:
    """Yield line number and cells of every line of a CSV file; its cells may be parted by semicolons or tabs as well.

    Args:
        path: of the file.
        columns: that it must have.
        names: of the columns of a file whose first line does not name them.

    Returns:
        Cells by column; none at all for a line that has not as many as there are columns.

    Raises:
        UserError: the file can't be read or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            named = not names or names[0] in first
            reader = csv.DictReader(
                file, None if named else names, delimiter=max(_DELIMITERS, key=first.count), skipinitialspace=True
            )
            lacking = [name for name in columns if name not in (reader.fieldnames or ())]
            if lacking:
                raise UserError(f"{path} has no column {', '.join(lacking)}; is it the file of another data set?")
            for cells in reader:
                whole = None not in cells and None not in cells.values()
                yield reader.line_num, {name: text.strip() for name, text in cells.items()} if whole else {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} can't be read as CSV in UTF-8: {error}.") from error


def read_rows(
    path: Path,
    columns: Iterable[str],
    split: str,
    source: str,
    make: Callable[[Cells], Row | LeftOut],
    names: Sequence[str] = (),
) -> Found:
    """Yield the row that is made of every line of a CSV file; lines with too many or too few cells are left out.

    Args:
        path: of the file.
        columns: that it must have.
        split: that the rows belong to, for what is left out.
        source: of the rows, likewise.
        make: from cells by column to a row, or why it is left out.
        names: of the columns of a file whose first line does not name them.

    Raises:
        UserError: the file can't be read or lacks a column.
    """
    for line, cells in read_table(path, columns, names):
        yield make(cells) if cells else LeftOut(f"{path}, line {line}", split, source, BAD_LINE)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not blank.

    Raises:
        UserError: the file can't be read.
    """
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read as text in UTF-8: {error}.") from error


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
    elif years is not None and labels.get(AGE, group := LABELS[AGE][age_group_of(years)]) != group:
        problems.append(f"age in years {years:g} is not in age group {labels[AGE]!r}")
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
