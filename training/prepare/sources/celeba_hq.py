"""CelebAMask-HQ (C.-H. Lee, Z. Liu, L. Wu, P. Luo, 2020): CelebA-HQ's images with gender."""

from pathlib import Path

from facial_attributes_training.data.manifest import Row
from facial_attributes_training.prepare.sources.base import Found, Source, labelled, read_lines, require

from facial_attributes_ros.attributes import GENDER
from facial_attributes_ros.errors import UserError

_FIRST_VAL, _FIRST_TEST = 162770, 182637
"""Index of the first image of CelebA's own validation and test split."""


def read_celeba_hq(folder: Path) -> Found:
    """Yield every image of the attribute file, in the split that CelebA has the original in."""
    table = require(folder / "CelebAMask-HQ-attribute-anno.txt", CELEBA_HQ.title, CELEBA_HQ.owner)
    originals = _originals(require(folder / "CelebA-HQ-to-CelebA-mapping.txt", CELEBA_HQ.title, CELEBA_HQ.owner))
    lines = read_lines(table)
    # The first line is the number of images, the second names the attributes.
    attributes = lines[1].split() if len(lines) > 1 else []
    if "Male" not in attributes:
        raise UserError(f"{table} does not name the attribute Male in its second line; get the file again.")
    column = attributes.index("Male") + 1
    for line in lines[2:]:
        cells = line.split()
        row = Row(str(folder / "CelebA-HQ-img" / cells[0]), _split(originals.get(Path(cells[0]).stem)), CELEBA_HQ.name)
        value = cells[column] if len(cells) > column else ""
        gender = {"1": "male", "-1": "female"}.get(value)
        yield labelled(row, classes={GENDER: gender}, problem="" if gender else f"Male is {value!r}")


def _originals(path: Path) -> dict[str, int]:
    """Return CelebA's image index by the number of the CelebA-HQ image."""
    pairs = (line.split() for line in read_lines(path)[1:])
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) > 1 and pair[1].isdigit()}


def _split(original: int | None) -> str:
    if original is None:
        return ""
    return "train" if original < _FIRST_VAL else "val" if original < _FIRST_TEST else "test"


CELEBA_HQ = Source(
    "celeba-hq",
    "CelebAMask-HQ",
    "its authors (Lee, Liu, Wu and Luo, MMLab of the Chinese University of Hong Kong) for non-commercial research",
    read_celeba_hq,
)
