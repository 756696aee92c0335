"""The names of splits, and splits for data sets that come without one."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from facial_attributes_training.data.manifest import IDENTITY, Row
from facial_attributes_training.prepare.left_out import LeftOut

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
"""It becomes a part of a file's name."""


def standard_split(name: str) -> str:
    """Return train, val or test for the names that these go by, such as Validation; other names as they are."""
    return _NAMES.get(name.lower(), name)


def held_out_rank(name: str) -> int:
    """Return which splits keep a picture that several have, the lowest first: test before val before the others."""
    split = standard_split(name)
    return _HELD_OUT_FIRST.index(split) if split in _HELD_OUT_FIRST else len(_HELD_OUT_FIRST)


def is_split_name(name: str) -> bool:
    """Return whether a manifest can be called by a split: up to 64 letters, digits, _ and -; or empty for no split."""
    return _FIT_NAME.fullmatch(name) is not None


def parse_shares(text: str) -> dict[str, float]:
    """Return the share of every split from text such as `train=0.6,val=0.2,test=0.2`.

    Raises:
        UserError: it is not of this form, a name is there twice or can name no file, or the shares do not add up to 1.
    """
    try:
        pairs = [(name.strip(), float(share)) for name, share in (part.split("=") for part in text.split(","))]
    except ValueError as error:
        raise UserError(f"splits are given as train=0.6,val=0.2,test=0.2, not {text!r}.") from error
    shares = dict(pairs)
    if len(shares) < len(pairs) or not all(name and is_split_name(name) for name in shares):
        raise UserError(f"splits need different names of letters, digits, _ and -, not {text!r}.")
    # Put like this, NaN is refused as well.
    if not (all(share > 0 for share in shares.values()) and abs(sum(shares.values()) - 1) <= 1e-6):
        raise UserError(f"the shares of the splits must be above 0 and add up to 1, not {text!r}.")
    return shares


def assign_splits(
    found: Iterable[Row | LeftOut],
    shares: Mapping[str, float] | None = None,
    keep: float = 1.0,
    seed: int = 0,
    base: Path = Path("/"),
) -> list[Row | LeftOut]:
    """Give every row a split by chance, and leave out a share of them; rows that were left out pass as they are.

    Chance is a fingerprint of the seed and the person, or of the path where no column `identity` tells the person:
    pictures of one person stay together, and no row's split depends on which others there are.

    Args:
        found: rows of a data set.
        shares: share of every split; None keeps the splits as they are.
        keep: share of the people or pictures that are kept, above 0 and at most 1.
        seed: another number gives another draw.
        base: folder of the data set; the same pictures fall into the same splits wherever it lies.
    """
    result: list[Row | LeftOut] = []
    for row in found:
        who = "" if isinstance(row, LeftOut) else row.extra.get(IDENTITY) or os.path.relpath(row.path, base)
        if isinstance(row, LeftOut):
            result.append(row)
        elif _chance(f"keep {seed} {who}") >= keep:
            result.append(LeftOut.of(row, "not drawn", f"a share of {keep:g} is kept"))
        else:
            result.append(row if shares is None else replace(row, split=_draw(shares, _chance(f"split {seed} {who}"))))
    return result


def _chance(text: str) -> float:
    """Return a number from 0 to below 1 that depends on the text alone."""
    digest = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=4).digest()
    return int.from_bytes(digest, "big") / _PARTS


def _draw(shares: Mapping[str, float], chance: float) -> str:
    names = list(shares)
    for name in names:
        chance -= shares[name]
        if chance < 0:
            return name
    return names[-1]
