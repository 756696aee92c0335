"""IMDB-WIKI (R. Rothe, R. Timofte, L. Van Gool, 2015): age in years and gender of actors and of people in Wikipedia.

The filters are those of the second method: a face is there, it is the only one, its score is above 3.5, and the age
lies between 0 and 100 years.
"""

import datetime
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from facial_attributes_training.data.manifest import Row
from facial_attributes_training.prepare.excluded import Excluded
from facial_attributes_training.prepare.sources.base import BAD_LABEL, Found, Source, first_there, labelled, require

from facial_attributes_ros.attributes import GENDER
from facial_attributes_ros.errors import UserError

MIN_FACE_SCORE = 3.5
MAX_YEARS = 100.0

_FIELDS = ("dob", "photo_taken", "full_path", "gender", "name", "face_score", "second_face_score")
_MATLAB_EPOCH = 366
"""Days by which Matlab's count is ahead of Python's."""
_MID_YEAR = (7, 1)
"""Only the year in which a photograph was taken is known; its middle is the best guess."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image as the .mat file has it: scores are -inf and NaN for no face and no second face."""

    path: str
    name: str
    born: float
    taken: int
    gender: float
    face_score: float
    second_face_score: float


def read_imdb_wiki(folder: Path) -> Found:
    """Yield the images of `imdb.mat` and `wiki.mat`, filtered as described above.

    Either file lies in the folder given, such as `imdb_crop`, or in `imdb_crop` and `wiki_crop` below it.
    """
    tables = [first_there(folder / f"{name}.mat", folder / f"{name}_crop" / f"{name}.mat") for name in ("imdb", "wiki")]
    there = [table for table in tables if table.exists()]
    for table in there or [require(tables[0], IMDB_WIKI.title, IMDB_WIKI.owner)]:
        for entry in _entries(table):
            yield _row(entry, table.parent, table.stem)


def age_in_years(born: float, taken: int) -> float:
    """Return the age in whole years in the middle of the year in which a photograph was taken.

    Args:
        born: date of birth in Matlab's days.
        taken: the year.

    Returns:
        NaN if the date of birth is no date.
    """
    try:
        birth = datetime.date.fromordinal(int(born) - _MATLAB_EPOCH)
    except (ValueError, OverflowError):
        return math.nan
    return float(taken - birth.year - ((birth.month, birth.day) > _MID_YEAR))


def _row(entry: Entry, folder: Path, name: str) -> Row | Excluded:
    row = Row(str(folder / entry.path), "", f"{name}-crop", extra={"identity": entry.name} if entry.name else {})
    if not math.isfinite(entry.face_score):
        return Excluded.of(row, "no face", "by the data set's own detector")
    if not math.isnan(entry.second_face_score):
        return Excluded.of(row, "several faces", "by the data set's own detector")
    if not entry.face_score > MIN_FACE_SCORE:
        return Excluded.of(row, "face score too low", f"{entry.face_score:.3g}")
    years = age_in_years(entry.born, entry.taken)
    if not 0 <= years <= MAX_YEARS:
        return Excluded.of(row, BAD_LABEL, f"age in years {years:g}")
    gender = {0.0: "female", 1.0: "male"}.get(entry.gender)
    return labelled(row, years=years, classes={GENDER: gender})


def _entries(table: Path) -> list[Entry]:
    from scipy.io import loadmat

    try:
        record = loadmat(table, squeeze_me=True, struct_as_record=False, variable_names=[table.stem])[table.stem]
        columns = [np.atleast_1d(getattr(record, name)) for name in _FIELDS]
        return [_entry(*values) for values in zip(*columns, strict=True)]
    except Exception as error:  # SciPy's reader raises zlib's errors and many others for damaged files
        raise UserError(f"{table} is not the .mat file of IMDB-WIKI ({error}); get it again.") from error


def _entry(born: Any, taken: Any, path: Any, gender: Any, name: Any, score: Any, second: Any) -> Entry:
    return Entry(
        str(path),
        str(name) if isinstance(name, str) else "",
        float(born),
        int(taken),
        float(gender),
        float(score),
        float(second),
    )


IMDB_WIKI = Source(
    "imdb-wiki",
    "IMDB-WIKI",
    "its authors (Rothe, Timofte and Van Gool, ETH Zurich) on their project page for research",
    read_imdb_wiki,
    single_face=True,
)
