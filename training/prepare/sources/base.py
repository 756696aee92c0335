"""The reader of a data set, and helpers of all readers."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from facial_attributes_training.data.manifest import MAX_AGE, Row
from facial_attributes_training.prepare.excluded import Excluded

from facial_attributes_ros.attributes import AGE, LABELS, age_group_of
from facial_attributes_ros.errors import UserError

Found = Iterator[Row | Excluded]
"""What a reader yields: samples, and those that it excludes for their labels."""

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
        read: yields the samples below a folder, with their paths.
        close_up: its images are cropped around one face, not whole photographs.
        single_face: its labels are of one person, but not of a given face among several.
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
        UserError: it is not; the message names who distributes the data set.
    """
    if not path.exists():
        raise UserError(f"{title} is not there: {path} is missing; it is given out by {owner}.")
    return path


def first_there(*candidates: Path) -> Path:
    """Return the first of some places that exists, the first of all if none does."""
    return next((path for path in candidates if path.exists()), candidates[0])


def read_table(path: Path, columns: Iterable[str] = (), names: Sequence[str] = ()) -> Iterator[tuple[int, Cells]]:
    """Yield line number and cells of every line of a CSV file; its cells may be parted by semicolons or tabs as well.

    Blanks around cells and names of columns do not count.

    Args:
        path: of the file.
        columns: that it must have.
        names: of the columns of a file whose first line does not name them; its cells are parted by commas.

    Returns:
        Cells by column; none at all for a line that has not as many as there are columns.

    Raises:
        UserError: the file can't be read, a quotation mark is left open, or a column is missing or twice there.
    """
    done = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = _reader(file, names)
            _check_columns(path, reader.fieldnames or (), columns)
            done = reader.line_num
            for cells in reader:
                done = reader.line_num
                whole = None not in cells and None not in cells.values()
                yield done, {name: text.strip() for name, text in cells.items()} if whole else {}
    except csv.Error as error:
        raise UserError(
            f"{path} can't be read as CSV from line {done + 1} on: {error}; is a quotation mark left open there?"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read as CSV in UTF-8: {error}.") from error


def _reader(file: TextIO, names: Sequence[str]) -> "csv.DictReader[str]":
    first = file.readline()
    file.seek(0)
    named = not names or names[0] in first
    # Only the names of columns show the delimiter; a cell may contain many numbers with other delimiters.
    delimiter = max(_DELIMITERS, key=first.count) if named else ","
    # Unless it is strict, an open quotation mark makes one cell of all that follows.
    reader = csv.DictReader(file, None if named else names, delimiter=delimiter, skipinitialspace=True, strict=True)
    if reader.fieldnames is not None:
        reader.fieldnames = [name.strip() for name in reader.fieldnames]
    return reader


def _check_columns(path: Path, there: Sequence[str], columns: Iterable[str]) -> None:
    lacking = [name for name in columns if name not in there]
    if lacking:
        raise UserError(f"{path} has no column {', '.join(lacking)}; is it the file of another data set?")
    twice = sorted({name for name in there if name and there.count(name) > 1})
    if twice:
        raise UserError(f"{path} has the column {', '.join(twice)} more than once; rename one of them.")


def read_rows(
    path: Path,
    columns: Iterable[str],
    split: str,
    source: str,
    make: Callable[[Cells], Row | Excluded],
    names: Sequence[str] = (),
) -> Found:
    """Yield the sample of every line of a CSV file; lines with too many or too few cells are excluded.

    Args:
        path: of the file.
        columns: that it must have.
        split: of the samples, for excluded ones.
        source: of the samples, for excluded ones.
        make: from cells by column to a sample, or why it is excluded.
        names: of the columns of a file whose first line does not name them.

    Raises:
        UserError: as `read_table` raises it.
    """
    for line, cells in read_table(path, columns, names):
        yield make(cells) if cells else Excluded(f"{path}, line {line}", split, source, BAD_LINE)


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
    row: Row, years: float | str | None = None, classes: Mapping[str, str | None] | None = None, problem: str = ""
) -> Row | Excluded:
    """Return a sample with its labels, or why it is excluded: a label is outside the range, or there is none.

    Args:
        row: everything but the labels.
        years: age in years, as a number or as the data set writes it; gives the age group as well.
        classes: label per task, None or empty where the data set has none for this sample.
        problem: a clause on a label that the reader could not make out, empty if there was none.
    """
    labels = {task: label for task, label in (classes or {}).items() if label}
    problems = [f"{task} {label!r}" for task, label in labels.items() if label not in LABELS[task]]
    value = number(years) if isinstance(years, str) else years
    if value is not None and not 0 <= value <= MAX_AGE:
        problems.append(f"age in years {years!r}" if isinstance(years, str) else f"age in years {value:g}")
    elif value is not None and labels.get(AGE, group := LABELS[AGE][age_group_of(value)]) != group:
        problems.append(f"age in years {value:g} is not in age group {labels[AGE]!r}")
    if problem or problems:
        return Excluded.of(row, BAD_LABEL, problem or ", ".join(problems))
    if value is not None:
        labels[AGE] = LABELS[AGE][age_group_of(value)]
    if not labels:
        return Excluded.of(row, NO_LABEL)
    return Row(row.path, row.split, row.source, labels, value, row.box, row.extra)


def number(text: str) -> float:
    """Return a number, NaN if the text is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
