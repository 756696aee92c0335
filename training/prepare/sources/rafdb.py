"""RAF-DB, the basic emotions (S. Li, W. Deng, J. Du, 2017): emotion and gender."""

from pathlib import Path

from facial_attributes_training.data.manifest import Row
from facial_attributes_training.prepare.sources.base import Found, Source, labelled, number, read_lines, require

from facial_attributes_ros.attributes import EMOTION, GENDER, LABELS

_ETHNICITIES = {"0": "Caucasian", "1": "African-American", "2": "Asian"}
_GENDERS = {"0": "male", "1": "female", "2": None}
_AGE_RANGES = {"0": "0-3", "1": "4-19", "2": "20-39", "3": "40-69", "4": "70+"}
"""They cut across our age groups, so they are kept to group by and are no label."""
_ATTRIBUTE_LINES = slice(5, 8)
"""Gender, race and age follow the five landmarks."""

Box = tuple[float, float, float, float]


def read_rafdb(folder: Path) -> Found:
    """Yield the samples of the folder `basic`: whole photographs if they are there, otherwise the aligned faces.

    In a photograph of several people, the box of `Annotation/boundingbox` is that of the labelled person.
    """
    listing = require(folder / "EmoLabel" / "list_patition_label.txt", RAFDB.title, RAFDB.owner)
    images, annotation = folder / "Image", folder / "Annotation"
    whole = (images / "original").is_dir()
    for line in read_lines(listing):
        name, _, index = line.strip().partition(" ")
        stem = Path(name).stem
        path = images / "original" / name if whole else images / "aligned" / f"{stem}_aligned.jpg"
        box = _box(annotation / "boundingbox" / f"{stem}_boundingbox.txt") if whole else None
        gender, extra, problem = _attributes(annotation / "manual" / f"{stem}_manu_attri.txt")
        row = Row(str(path), stem.partition("_")[0], RAFDB.name, box=box, extra=extra)
        known = index.isdigit() and 1 <= int(index) <= len(LABELS[EMOTION])
        # The data set counts from 1, in the order that is ours as well.
        emotion = LABELS[EMOTION][int(index) - 1] if known else f"number {index}"
        yield labelled(row, classes={EMOTION: emotion, GENDER: gender}, problem=problem)


def _attributes(path: Path) -> tuple[str | None, dict[str, str], str]:
    """Return gender, further columns, and an error in them; a missing file leaves all unlabelled."""
    if not path.exists():
        return None, {}, ""
    lines = [line.strip() for line in read_lines(path)[_ATTRIBUTE_LINES]]
    if len(lines) < 3:
        return None, {}, f"{path.name} has fewer than eight lines"
    gender, ethnicity, age = lines
    if gender not in _GENDERS:
        return None, {}, f"gender number {gender!r} in {path.name}"
    extra = {"ethnicity": _ETHNICITIES.get(ethnicity, ""), "age_range": _AGE_RANGES.get(age, "")}
    return _GENDERS[gender], {name: value for name, value in extra.items() if value}, ""


def _box(path: Path) -> Box | None:
    """Return the box of a file that holds its left, upper, right and lower edge; None without one."""
    numbers = [number(text) for line in read_lines(path) for text in line.split()] if path.exists() else []
    if len(numbers) != 4 or not (numbers[2] > numbers[0] and numbers[3] > numbers[1]):
        return None
    left, top, right, bottom = numbers
    return left, top, right - left, bottom - top


RAFDB = Source(
    "raf-db",
    "RAF-DB",
    "its authors (Li and Deng, Beijing University of Posts and Telecommunications) on request for research",
    read_rafdb,
)
