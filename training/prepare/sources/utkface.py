"""UTKFace (Z. Zhang, Y. Song, H. Qi, 2017): age in years, gender and ethnicity, from the file names."""

import re
from pathlib import Path

from facial_attributes_training.data.manifest import Row
from facial_attributes_training.prepare.excluded import Excluded
from facial_attributes_training.prepare.sources.base import BAD_LABEL, Found, Source, labelled, require

from facial_attributes_ros.attributes import GENDER

_NAME = re.compile(r"(?P<age>\d+)_(?P<gender>\d)_(?P<race>\d)_(?P<taken>\d+)\.jpg")
_GENDERS = ("male", "female")
_ETHNICITIES = ("White", "Black", "Asian", "Indian", "Others")


def read_utkface(folder: Path) -> Found:
    """Yield every `age_gender_race_date.jpg` below the folder, all as test, as in Sessa's thesis.

    A few files of the data set lack a part of the name; they are excluded.
    """
    require(folder, UTKFACE.title, UTKFACE.owner)
    found = False
    for path in sorted(folder.rglob("*.jpg")):
        found = True
        row = Row(str(path), "test", UTKFACE.name)
        match = _NAME.match(path.name)
        if not match:
            yield Excluded.of(row, BAD_LABEL, f"the name {path.name} does not give age, gender and ethnicity")
            continue
        gender, ethnicity = int(match["gender"]), int(match["race"])
        if gender >= len(_GENDERS):
            yield Excluded.of(row, BAD_LABEL, f"gender number {gender}")
            continue
        extra = {"ethnicity": _ETHNICITIES[ethnicity]} if ethnicity < len(_ETHNICITIES) else {}
        row = Row(row.path, row.split, row.source, extra=extra)
        yield labelled(row, years=float(match["age"]), classes={GENDER: _GENDERS[gender]})
    if not found:
        require(folder / "AGE_GENDER_RACE_DATE.jpg", UTKFACE.title, UTKFACE.owner)


UTKFACE = Source(
    "utkface",
    "UTKFace",
    "its authors (Zhang, Song and Qi, University of Tennessee) on their project page for non-commercial research",
    read_utkface,
)
