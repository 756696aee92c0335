"""VGGFace2 (Q. Cao and others, 2018): gender by its own list, ages by a list of estimates made for it."""

from pathlib import Path

from facial_attributes_training.data.manifest import Row
from facial_attributes_training.prepare.sources.base import (
    Found,
    Source,
    first_there,
    labelled,
    read_lines,
    read_table,
    require,
)

from facial_attributes_ros.attributes import GENDER

_GENDERS = {"m": "male", "f": "female"}
_LIST_FOLDERS = (".", "meta", "annotations")


def read_vggface2(folder: Path) -> Found:
    """Yield the images of the splits `train` and `test` that have an age or a gender.

    Read are `identity_meta.csv` with the gender of every person, and `train.age_detected.csv` and
    `test.age_detected.csv` without a header, each line `n000001/0001_01.jpg,33.4`; they may lie in the folders `meta`
    or `annotations`. Without a list of ages, every image below the split's folder is taken with its gender alone.
    """
    genders = _genders(require(_list(folder, "identity_meta.csv"), VGGFACE2.title, VGGFACE2.owner))
    images = {name: first_there(folder / name, folder / f"vggface2_{name}" / name) for name in ("train", "test")}
    if not any(path.is_dir() for path in images.values()):
        require(images["test"], VGGFACE2.title, VGGFACE2.owner)
    for split, place in images.items():
        for member, years in _ages(_list(folder, f"{split}.age_detected.csv"), place) if place.is_dir() else ():
            identity = member.partition("/")[0]
            row = Row(str(place / member), split, VGGFACE2.name, extra={"identity": identity})
            yield labelled(row, years=years, classes={GENDER: genders.get(identity)})


def _list(folder: Path, name: str) -> Path:
    return first_there(*(folder / place / name for place in _LIST_FOLDERS))


def _genders(table: Path) -> dict[str, str]:
    rows = read_table(table, ("Class_ID", "Gender"))
    return {cells["Class_ID"]: _GENDERS[cells["Gender"]] for _, cells in rows if cells.get("Gender") in _GENDERS}


def _ages(table: Path, images: Path) -> list[tuple[str, str | None]]:
    """Return path below the split's folder and age in years of every image, None where ages are not listed."""
    if not table.exists():
        return [(path.relative_to(images).as_posix(), None) for path in sorted(images.rglob("*.jpg"))]
    pairs = (line.partition(",") for line in read_lines(table))
    return [(path.strip().lstrip("/"), age.strip()) for path, _, age in pairs]


VGGFACE2 = Source(
    "vggface2",
    "VGGFace2",
    "its authors (Visual Geometry Group, University of Oxford); lists of ages by the MIVIA lab, University of Salerno",
    read_vggface2,
)
