"""The list of excluded samples, with the reasons."""

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Self

from facial_attributes_training.data.manifest import Row

from facial_attributes_ros.files import atomic_target, disk_errors

EXCLUDED_FILE = "left-out.csv"
HINT = "add --"
"""Part of a detail that says which option would keep the sample."""


@dataclass(frozen=True, slots=True)
class Excluded:
    """One sample that is not in the manifest.

    Attributes:
        path: of the image, or the place in the data set's files if there is none.
        split: the split that it would be in.
        source: its data set.
        reason: a few words, the same for the same reason, to be counted.
        detail: what exactly.
    """

    path: str
    split: str
    source: str
    reason: str
    detail: str = ""

    @classmethod
    def of(cls, row: Row, reason: str, detail: str = "") -> Self:
        """Return the entry of a sample."""
        return cls(row.path, row.split, row.source, reason, detail)


def write_excluded(path: Path, entries: Iterable[Excluded]) -> None:
    """Write the list as CSV, atomically.

    Raises:
        UserError: the file can't be written.
    """
    with disk_errors(path), atomic_target(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([entry.name for entry in fields(Excluded)])
        writer.writerows(astuple(entry) for entry in entries)


def count_hints(entries: Iterable[Excluded]) -> Counter[str]:
    """Return the number of excluded samples by what a user can do about them, the most frequent first."""
    found = Counter(entry.detail for entry in entries if HINT in entry.detail)
    return Counter(dict(found.most_common()))


def count_reasons(entries: Iterable[Excluded]) -> Counter[tuple[str, str]]:
    """Return the number of excluded samples by (source, reason)."""
    return Counter((entry.source, entry.reason) for entry in entries)
