"""Names of splits, and random splits for data sets that have none."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from facial_attributes_training.data.manifest import IDENTITY, Row
from facial_attributes_training.prepare.excluded import Excluded

from facial_attributes_ros.errors import UserError

_PARTS = 2**32
_NAMES: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_HELD_OUT_FIRST = ("test", "val")
_FIT_NAME = re.compile(r"[\w-]{0,64}")
"""It becomes part of a file name."""


def standard_split(name: str) -> str:
    """Return train, val or test for their other names, such as Validation; any other name as it is."""
    return _NAMES.get(name.lower(), name)


def held_out_rank(name: str) -> int:
    """Return the rank of a split that keeps an image of several splits, lowest first: test, val, then the others."""
    split = standard_split(name)
    return _HELD_OUT_FIRST.index(split) if split in _HELD_OUT_FIRST else len(_HELD_OUT_FIRST)


def is_split_name(name: str) -> bool:
    """Return whether a split can be part of a file name: up to 64 letters, digits, _ and -; or empty for no split."""
    return _FIT_NAME.fullmatch(name) is not None


def parse_fractions(text: str) -> dict[str, float]:
    """Return the fraction of every split from text such as `train=0.6,val=0.2,test=0.2`.

    Raises:
        UserError: it has another form, a name is repeated or not valid, or the fractions do not add up to 1.
    """
    try:
        pairs = [(name.strip(), float(fraction)) for name, fraction in (part.split("=") for part in text.split(","))]
    except ValueError as error:
        raise UserError(f"splits are given as train=0.6,val=0.2,test=0.2, not {text!r}.") from error
    fractions = dict(pairs)
    if len(fractions) < len(pairs) or not all(name and is_split_name(name) for name in fractions):
        raise UserError(f"splits need different names of letters, digits, _ and -, not {text!r}.")
    # Written this way, NaN is refused as well.
    if not (all(part > 0 for part in fractions.values()) and abs(sum(fractions.values()) - 1) <= 1e-6):
        raise UserError(f"the fractions of the splits must be above 0 and add up to 1, not {text!r}.")
    return fractions


def assign_splits(
    found: Iterable[Row | Excluded],
    fractions: Mapping[str, float] | None = None,
    keep: float = 1.0,
    seed: int = 0,
    base: Path = Path("/"),
) -> list[Row | Excluded]:
    """Assign every sample to a random split, and exclude a fraction of them; excluded samples stay as they are.

    Randomness is a hash of the seed and the identity, or of the path where the identity is not known: images of one
    person stay in one split, and no sample's split depends on which others there are.

    Args:
        found: samples of a data set.
        fractions: fraction of every split; None keeps the splits as they are.
        keep: fraction of the people or images that are kept, above 0 and at most 1.
        seed: another number gives another draw.
        base: folder of the data set; the splits do not depend on its place.
    """
    result: list[Row | Excluded] = []
    for row in found:
        who = "" if isinstance(row, Excluded) else row.extra.get(IDENTITY) or os.path.relpath(row.path, base)
        if isinstance(row, Excluded):
            result.append(row)
        elif _uniform(f"keep {seed} {who}") >= keep:
            result.append(Excluded.of(row, "not sampled", f"a fraction of {keep:g} is kept"))
        else:
            place = _uniform(f"split {seed} {who}")
            result.append(row if fractions is None else replace(row, split=_draw(fractions, place)))
    return result


def _uniform(text: str) -> float:
    """Return a number from 0 to below 1 that depends on the text alone."""
    digest = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=4).digest()
    return int.from_bytes(digest, "big") / _PARTS


def _draw(fractions: Mapping[str, float], position: float) -> str:
    names = list(fractions)
    for name in names:
        position -= fractions[name]
        if position < 0:
            return name
    return names[-1]
