"""Which face comes next: the most uncertain first, random ones for validation between them, copies last."""

from collections import deque
from collections.abc import Sequence

import numpy as np
from facial_attributes_training.prepare.perceptual_hash import ImageHashes, near_copies
from numpy.typing import ArrayLike, NDArray

GAP = 4
"""Faces of other people between two of the same person, as long as there are others."""


def label_order(
    hardness: ArrayLike, people: Sequence[str], looks: Sequence[str], held_out: ArrayLike, seed: int = 0
) -> list[int]:
    """Return all faces in the order in which they are to be labelled.

    Args:
        hardness: (N,) how much a label of each is worth.
        people: (N,) identities; an empty one is a person of its own.
        looks: (N,) as in `Candidate.look`; of near copies, one comes in its turn and the others at the end.
        held_out: bool (N,): validation faces come in random order, so that they are like what the camera sees; a set
            of the hardest faces would measure something else. They are spread evenly among the others.
        seed: another number gives another random order.
    """
    values, validation = np.asarray(hardness, np.float64), np.asarray(held_out, np.bool_)
    count = len(values)
    if not count:
        return []
    drawn = np.random.default_rng(seed).permutation(count)
    hardest = drawn[np.argsort(-values[drawn], kind="stable")]
    order = _interleaved(
        [int(row) for row in hardest if not validation[row]], [int(row) for row in drawn if validation[row]]
    )
    first, copies = _without_copies(order, _copy_groups(looks))
    return _spread(first, people) + _spread(copies, people)


def _interleaved(one: list[int], other: list[int]) -> list[int]:
    """Return both lists as one in which each keeps its order and is spread evenly."""
    places = [((place + 0.5) / len(rows), row) for rows in (one, other) for place, row in enumerate(rows)]
    return [row for _, row in sorted(places, key=lambda pair: pair[0])]


def _copy_groups(looks: Sequence[str]) -> NDArray[np.int64]:
    """Return int64 (N,): the same number for near copies."""
    hashes, rows = ImageHashes.of(looks), np.arange(len(looks), dtype=np.int64)
    groups = rows.copy()
    for row, other in enumerate(near_copies(hashes, hashes, rows, rows).tolist()):
        if other >= 0 and groups[row] != groups[other]:
            groups[groups == groups[row]] = groups[other]
    return groups


def _without_copies(order: Sequence[int], groups: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Return the first face of every group of near copies, and the others; both keep their order."""
    seen: set[int] = set()
    first: list[int] = []
    copies: list[int] = []
    for row in order:
        group = int(groups[row])
        (copies if group in seen else first).append(row)
        seen.add(group)
    return first, copies


def _spread(order: Sequence[int], people: Sequence[str]) -> list[int]:
    """Return an order in which `GAP` faces of others come between two of one person, as long as there are others.

    Each place goes to the first face whose person was not among the last ones; if there is none, to the first of
    whoever was seen longest ago. Faces without an identity may always follow each other.
    """
    waiting: dict[str, deque[int]] = {}
    for place, row in enumerate(order):
        waiting.setdefault(people[row], deque()).append(place)
    recent: deque[str] = deque(maxlen=GAP)
    result = []
    while waiting:
        last = {person: place for place, person in enumerate(recent, 1) if person}
        person = min(waiting, key=lambda one: (last.get(one, 0), waiting[one][0]))
        result.append(order[waiting[person].popleft()])
        if not waiting[person]:
            del waiting[person]
        recent.append(person)
    return result
