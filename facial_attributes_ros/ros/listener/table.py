"""The table of the listener: a line a person. Needs no ROS and no terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from facial_attributes_ros.text import age_text, plus_minus, printable

GAP: Final = "  "
_KEYS: Final = ("id", "age", "age_group", "gender", "emotion")
_TITLES: Final = ("id", "age", "group", "gender", "emotion")
_WIDTHS: Final = ((9, 13, 12, 12, 13), (9, 7, 7, 7, 8))
"""Widths of the columns with and without probabilities and units; a longer text shifts the columns after it."""
_DROPPED: Final = ((), ("age_group",), ("age_group", "id"))
"""Columns that a narrow terminal lacks, from wide to narrow."""

Person = Mapping[str, Any]
"""A face in its JSON form, see `attributes.face_dict`."""


def table_lines(people: Sequence[Person], columns: int, rows: int) -> list[str]:
    """Return a table as lines: the titles, and a line a person.

    Args:
        people: in the order of their lines.
        columns: that a line may have; a narrow table says less.
        rows: lines that there may be; if they are too few, the last one says how many people are not shown.
    """
    if not people:
        return ["No face is in view."]
    brief, dropped = _form(columns)
    kept = [k for k, key in enumerate(_KEYS) if key not in dropped]
    widths = [_WIDTHS[brief][k] for k in kept]
    shown = people if len(people) < rows else people[: max(rows - 2, 0)]
    lines = [_line([_TITLES[k] for k in kept], widths)]
    lines += [_line([_cell(person, _KEYS[k], bool(brief)) for k in kept], widths) for person in shown]
    if len(shown) < len(people):
        lines.append(f"... and {len(people) - len(shown)} more")
    return [line[:columns] for line in lines][: max(rows, 1)]


def _form(columns: int) -> tuple[int, tuple[str, ...]]:
    """Return which widths, and which columns to leave out, so that a line fits."""
    for dropped in _DROPPED:
        for brief in (0, 1):
            widths = [width for key, width in zip(_KEYS, _WIDTHS[brief], strict=True) if key not in dropped]
            if sum(widths) + len(GAP) * (len(widths) - 1) <= columns:
                return brief, dropped
    return 1, _DROPPED[-1]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cell(person: Person, key: str, brief: bool) -> str:
    value = person[key]
    if key == "id":
        return printable(value)
    if value is None:
        return "unknown"
    if key == "age":
        deviation = math.nan if person["age_stddev"] is None else person["age_stddev"]
        return plus_minus(math.floor(value), deviation) if brief else age_text(value, deviation)
    return str(value) if brief else f"{value} {person[f'{key}_probabilities'][value]:.0%}"
