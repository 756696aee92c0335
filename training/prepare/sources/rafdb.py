"""RAF-DB, the basic emotions (S. Li, W. Deng, J. Du, 2017): emotion and gender."""

from pathlib import Path

from facial_attributes_training.manifest import Row
from facial_attributes_training.prepare.sources.base import Found, Source, labelled, require

from facial_attributes_ros.attributes import EMOTION, GENDER, LABELS
from facial_attributes_ros.errors import UserError

_ETHNICITIES = {"0": "Caucasian", "1": "African-American", "2": "Asian"}
_GENDERS = {"0": "male", "1": "female", "2": None}
_ATTRIBUTE_LINES = slice(5, 8)
"""Gender, race and age follow the five landmarks."""


def read_rafdb(folder: Path) -> Found:
    """Yield the rows of the folder `basic`: whole photographs if they are there, otherwise the aligned faces."""
    listing = require(folder / "EmoLabel" / "list_patition_label.txt", RAFDB.title, RAFDB.owner)
    pictures = folder / "Image"
    whole = (pictures / "original").is_dir()
    for line in listing.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        name, _, index = line.strip().partition(" ")
        stem = Path(name).stem
        path = pictures / "original" / name if whole else pictures / "aligned" / f"{stem}_aligned.jpg"
        gender, ethnicity, problem = _attributes(folder / "Annotation" / "manual" / f"{stem}_manu_attri.txt")
        row = Row(str(path), stem.partition("_")[0], RAFDB.name, extra={"ethnicity": ethnicity} if ethnicity else {})
        known = index.isdigit() and 1 <= int(index) <= len(LABELS[EMOTION])
        # The data set counts from 1, in the order that is ours as well.
        emotion = LABELS[EMOTION][int(index) - 1] if known else f"number {index}"
        yield labelled(row, classes={EMOTION: emotion, GENDER: gender}, problem=problem)


def _attributes(path: Path) -> tuple[str | None, str, str]:
    """Return gender, ethnicity and what is wrong with them; a missing file leaves both unlabelled."""
    if not path.exists():
        return None, "", ""
    try:
        gender, ethnicity, _ = (
            line.strip() for line in path.read_text(encoding="utf-8").splitlines()[_ATTRIBUTE_LINES]
        )
    except ValueError:
        return None, "", f"{path.name} has fewer than eight lines"
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    if gender not in _GENDERS:
        return None, "", f"gender number {gender!r} in {path.name}"
    return _GENDERS[gender], _ETHNICITIES.get(ethnicity, ""), ""


RAFDB = Source(
    "raf-db",
    "RAF-DB",
    "its authors (Li and Deng, Beijing University of Posts and Telecommunications) on request for research",
    read_rafdb,
)
