"""Where labels go in an image: each beside its face, over no face and over no other label.

A place is searched among the positions where a label touches the border of the image, a face or another label. If a
label fits anywhere, it fits at one of these too: push it up and to the left until it touches something.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Point = tuple[int, int]

_SHIFT, _BELOW, _MOVE = 0.3, 0.15, 0.5
"""Costs of a pixel, against a pixel of distance between label and face: to be shifted along the face, to be away from
the place below it, and to move from where the label was."""


def place_labels(
    size: Point,
    boxes: Ints,
    labels: Sequence[Point],
    before: Sequence[Point | None],
    reach: Sequence[float] | float = np.inf,
    gap: int = 0,
) -> list[Point | None]:
    """Return the top left corner of every label, None for each that does not fit.

    The face with the least choice gets its place first.

    Args:
        size: width and height of the image in pixels.
        boxes: (N, 4) left, top, right and bottom of every face; may reach past the border.
        labels: width and height of every label.
        before: where each label was in the previous frame, None for a new one; a label moves only if it is worth it.
        reach: greatest distance of a label, or of each label, from its face, in heights of the face.
        gap: pixels that a label keeps away from other faces and labels, so that it is seen whose it is.
    """
    limits = (np.asarray(reach) * np.maximum(boxes[:, 3] - boxes[:, 1], 1)).tolist()
    wide = boxes + np.array([-gap, -gap, gap, gap])

    def find(k: int, placed: list[tuple[int, int, int, int]]) -> tuple[float, Point] | None:
        taken = np.vstack([wide[:k], boxes[k : k + 1], wide[k + 1 :], *placed])
        return _cheapest(size, boxes[k], labels[k], before[k], limits[k], taken)

    alone = [find(k, []) for k in range(len(boxes))]
    costs = [np.inf if found is None else found[0] for found in alone]
    corners: list[Point | None] = [None] * len(boxes)
    placed: list[tuple[int, int, int, int]] = []
    for k in np.argsort(costs, kind="stable")[::-1].tolist():
        found = alone[k] if alone[k] is None or _is_free(alone[k][1], labels[k], placed) else find(k, placed)
        if found:
            corners[k] = found[1]
            placed.append(_rectangle(found[1], labels[k], gap))
    return corners


def place_inside(
    size: Point, k: int, boxes: Ints, labels: Sequence[Point], corners: Sequence[Point | None]
) -> Point | None:
    """Return a place for a label at the lower edge of its own face, None if another face or label is there.

    It is for images that a face fills: nothing else is free there.

    Args:
        size: width and height of the image in pixels.
        k: index of the face.
        boxes: as for `place_labels`, like the following.
        labels: width and height of every label.
        corners: what `place_labels` returned.
    """
    (width, height), (left, _, right, bottom) = labels[k], boxes[k].tolist()
    x = min(max((left + right - width) // 2, 0), size[0] - width)
    y = min(bottom, size[1]) - height
    taken = [_rectangle(corner, label) for corner, label in zip(corners, labels, strict=True) if corner]
    others = np.array([*np.delete(boxes, k, axis=0), *taken], np.int64).reshape(-1, 4)
    if x < 0 or y < boxes[k, 1] or _overlaps(np.array([x]), np.array([y]), (width, height), others).any():
        return None
    return x, y


def _cheapest(
    size: Point, box: Ints, label: Point, before: Point | None, limit: float, taken: Ints
) -> tuple[float, Point] | None:
    """Return the cost and the corner of the best free place; None if there is none within the limit."""
    left, top, right, bottom = box.tolist()
    width, height = label
    was = before or (left, bottom)
    taken = taken[_near(taken, box, label, limit)]
    xs = _positions(size[0] - width, [left, right - width, (left + right - width) // 2, was[0]], taken[:, ::2], width)
    ys = _positions(size[1] - height, [top, bottom - height, was[1]], taken[:, 1::2], height)
    distance, cost = _costs(xs, ys, box, label, before)
    allowed = ~_overlaps(xs, ys, label, taken) & (distance <= limit)
    if not allowed.any():
        return None
    row, column = np.unravel_index(np.argmin(np.where(allowed, cost, np.inf)), cost.shape)
    return float(cost[row, column]), (int(xs[column]), int(ys[row]))


def _near(taken: Ints, box: Ints, label: Point, limit: float) -> NDArray[np.bool_]:
    """Return what a label within the limit of a face could touch: (K,)."""
    (left, top, right, bottom), (width, height) = box.tolist(), (label[0] + limit, label[1] + limit)
    across = (taken[:, 0] <= right + width) & (taken[:, 2] >= left - width)
    return np.asarray(across & (taken[:, 1] <= bottom + height) & (taken[:, 3] >= top - height))


def _is_free(corner: Point, label: Point, placed: Sequence[tuple[int, int, int, int]]) -> bool:
    """Return whether a label overlaps none of the places that are taken."""
    left, top, right, bottom = _rectangle(corner, label)
    return all(right <= one[0] or one[2] <= left or bottom <= one[1] or one[3] <= top for one in placed)


def _positions(last: int, wanted: list[int], taken: Ints, length: int) -> Ints:
    """Return the positions along one axis: those wanted, and where the label touches something.

    Args:
        last: greatest position inside the image.
        wanted: positions beside the face.
        taken: (K, 2) beginning and end of everything that may not be covered.
        length: of the label.
    """
    every = np.concatenate([[0, last], wanted, taken[:, 1], taken[:, 0] - length])
    return np.unique(every[(every >= 0) & (every <= last)]).astype(np.int64)


def _costs(
    xs: Ints, ys: Ints, box: Ints, label: Point, before: Point | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distance from the face and the cost of every position, both (Y, X)."""
    (left, top, right, bottom), (width, height) = box.tolist(), label
    gap_x = np.maximum(np.maximum(left - (xs + width), xs - right), 0)
    gap_y = np.maximum(np.maximum(top - (ys + height), ys - bottom), 0)
    distance = np.hypot(gap_y[:, None], gap_x)
    cost = distance + _SHIFT * np.abs(xs - left) + _BELOW * np.abs(ys - bottom)[:, None]
    if before is not None:
        moved = np.abs(xs - before[0]) + np.abs(ys - before[1])[:, None]
        cost += _MOVE * np.minimum(moved, height)
    return distance, cost


def _overlaps(xs: Ints, ys: Ints, label: Point, taken: Ints) -> NDArray[np.bool_]:
    """Return where a label with its corner at a position overlaps anything: (Y, X)."""
    across = (xs[:, None] < taken[:, 2]) & (xs[:, None] + label[0] > taken[:, 0])
    down = (ys[:, None] < taken[:, 3]) & (ys[:, None] + label[1] > taken[:, 1])
    return np.asarray(down.astype(np.float32) @ across.astype(np.float32).T > 0)


def _rectangle(corner: Point, label: Point, gap: int = 0) -> tuple[int, int, int, int]:
    return corner[0] - gap, corner[1] - gap, corner[0] + label[0] + gap, corner[1] + label[1] + gap
