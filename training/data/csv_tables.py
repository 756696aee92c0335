"""Read CSV files that a run wrote; a damaged file is a one-sentence error."""

import csv
from collections.abc import Iterable
from pathlib import Path

from facial_attributes_ros.errors import UserError


def read_table(path: Path, columns: Iterable[str] = (), *, unfinished: bool = False) -> list[dict[str, str]]:
    """Return the lines of a CSV file by column.

    Args:
        path: of the file.
        columns: required ones.
        unfinished: skip lines of another length, such as the last one of a killed run; otherwise they are errors.

    Raises:
        UserError: the file can't be read, is no CSV in UTF-8, or lacks a column or a cell.
    """
    lines: list[dict[str, str]] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            if lacking := sorted(set(columns) - set(reader.fieldnames or ())):
                raise UserError(f"{path} has no column {', '.join(lacking)}; run its training again.")
            for line in reader:
                if None not in line and None not in line.values():
                    lines.append(line)
                elif not unfinished:
                    raise UserError(f"{path}, line {reader.line_num} does not have as many cells as the first line.")
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a CSV file in UTF-8 ({error}); run its training again.") from error
    return lines


def numbers(path: Path, line: dict[str, str], columns: Iterable[str]) -> list[float]:
    """Return the numbers in some cells of a line, NaN where a cell is empty.

    Raises:
        UserError: a cell holds something else.
    """
    try:
        return [float(line[name] or "nan") for name in columns]
    except ValueError as error:
        raise UserError(f"{path} holds something other than a number ({error}); run its training again.") from error
