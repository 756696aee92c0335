"""Remove duplicate images."""

from collections.abc import Mapping, Sequence

from facial_attributes_training.data.manifest import Row
from facial_attributes_training.prepare.excluded import Excluded
from facial_attributes_training.prepare.faces import Box, is_same_face
from facial_attributes_training.prepare.scan import Scanned
from facial_attributes_training.prepare.splits import held_out_rank


def drop_duplicates(rows: Sequence[Row], scanned: Mapping[str, Scanned]) -> tuple[list[Row], list[Excluded]]:
    """Keep one sample of every face, and list the excluded ones.

    An image in several splits stays in the held-out one (test before val before the others, by any of their names), so
    that no measured image was trained on. Two faces of one image with different boxes are no duplicates; a sample
    without a box stands for the whole image, and so for every face in it.

    Args:
        rows: in the order to keep, with their final boxes; of duplicates in one split the first stays.
        scanned: findings by path.
    """
    keepers: dict[str, list[Row]] = {}
    excluded: dict[int, Excluded] = {}
    for index in sorted(range(len(rows)), key=lambda index: held_out_rank(rows[index].split)):
        row = rows[index]
        rivals = keepers.setdefault(scanned[row.path].fingerprint, [])
        keeper = next((rival for rival in rivals if _is_same(row.box, rival.box)), None)
        if keeper is None:
            rivals.append(row)
        else:
            excluded[index] = Excluded.of(row, _reason(row, keeper), f"same image as {keeper.path}")
    kept = [row for index, row in enumerate(rows) if index not in excluded]
    return kept, [excluded[index] for index in sorted(excluded)]


def _is_same(box: Box | None, other: Box | None) -> bool:
    return box is None or other is None or is_same_face(box, other)


def _reason(row: Row, keeper: Row) -> str:
    where = "duplicate" if row.split == keeper.split else "duplicate in another split"
    return where if row.labels == keeper.labels else f"{where}, other labels"
