"""VGGFace2 (Q. Cao and others, 2018): gender by its own list, ages by a list of estimates made for it."""

from pathlib import Path

from facial_attributes_training.manifest import Row
from facial_attributes_training.prepare.sources.base import Found, Source, labelled, number, read_table, require

from facial_attributes_ros.attributes import GENDER

_GENDERS = {"m": "male", "f": "female"}


def read_vggface2(folder: Path) -> Found:
    """Yield the pictures of the splits `train` and `test` that have an age or a gender.

    Read are `identity_meta.csv` with the gender of every person, and `train.age_detected.csv` and
    `test.age_detected.csv` without a header, each line `n000001/0001_01.jpg,33.4`. Without a list of ages, every
    picture below the split's folder is taken with its gender alone.
    """
    genders = _genders(require(folder / "identity_meta.csv", VGGFACE2.title, VGGFACE2.owner))
    splits = [name for name in ("train", "test") if (folder / name).is_dir()]
    if not splits:
        require(folder / "test", VGGFACE2.title, VGGFACE2.owner)
    for split in splits:
        for member, years in _ages(folder, split):
            identity = member.partition("/")[0]
            row = Row(str(folder / split / member), split, VGGFACE2.name, extra={"identity": identity})
            yield labelled(row, years=years, classes={GENDER: genders.get(identity)})


def _genders(table: Path) -> dict[str, str]:
    rows = read_table(table, ("Class_ID", "Gender"), spaced=True)
    return {cells["Class_ID"]: _GENDERS[cells["Gender"]] for _, cells in rows if cells["Gender"] in _GENDERS}


def _ages(folder: Path, split: str) -> list[tuple[str, float | None]]:
    """Return path below the split's folder and age in years of every picture, None where ages are not listed."""
    table = folder / f"{split}.age_detected.csv"
    if not table.exists():
        return [(path.relative_to(folder / split).as_posix(), None) for path in sorted((folder / split).rglob("*.jpg"))]
    lines = table.read_text(encoding="utf-8").splitlines()
    pairs = [line.partition(",") for line in lines if line.strip()]
    return [(path.strip().lstrip("/"), number(age)) for path, _, age in pairs]


VGGFACE2 = Source(
    "vggface2",
    "VGGFace2",
    "its authors (Visual Geometry Group, University of Oxford); lists of ages by the MIVIA lab, University of Salerno",
    read_vggface2,
)
