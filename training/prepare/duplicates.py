"""Pictures that are there more than once."""

from collections.abc import Mapping, Sequence

from facial_attributes_training.manifest import Row
from facial_attributes_training.prepare.left_out import LeftOut
from facial_attributes_training.prepare.scan import Scanned

_HELD_OUT_FIRST = ("test", "val")


def drop_duplicates(rows: Sequence[Row], scanned: Mapping[str, Scanned]) -> tuple[list[Row], list[LeftOut]]:
    """Keep one row of every face, and say which others go.

    A picture that is in several splits stays in the one that is held out (test before val before the others), so that
    nothing measured has been trained on. Two faces of one picture, told apart by their boxes, are no duplicates.

    Args:
        rows: in the order to keep; of equals in one split the first stays.
        scanned: findings by path.
    """
    keepers: dict[tuple[object, ...], Row] = {}
    by_rank = sorted(rows, key=_rank)
    for row in by_rank:
        keepers.setdefault(_face_key(row, scanned), row)
    kept, left_out = [], []
    for row in rows:
        keeper = keepers[_face_key(row, scanned)]
        if row is keeper:
            kept.append(row)
        else:
            left_out.append(LeftOut.of(row, _reason(row, keeper), f"same picture as {keeper.path}"))
    return kept, left_out


def _rank(row: Row) -> int:
    return _HELD_OUT_FIRST.index(row.split) if row.split in _HELD_OUT_FIRST else len(_HELD_OUT_FIRST)


def _face_key(row: Row, scanned: Mapping[str, Scanned]) -> tuple[object, ...]:
    box = None if row.box is None else tuple(round(value) for value in row.box)
    return scanned[row.path].fingerprint, box


def _reason(row: Row, keeper: Row) -> str:
    where = "duplicate" if row.split == keeper.split else "duplicate in another split"
    return where if row.labels == keeper.labels else f"{where}, other labels"
