"""The labels of faces: text, size, colour and place. Annotated images and the live page draw the same ones."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, TASKS
from facial_attributes_ros.imaging.lettering import line_step, text_width
from facial_attributes_ros.imaging.placement import Ints, Point, place_inside, place_labels
from facial_attributes_ros.text import age_text, plus_minus

Colour = tuple[int, int, int]
Face = Mapping[str, Any]
"""A face in its JSON form, see `attributes.face_dict`."""

PLATE: Final[Colour] = (20, 22, 26)
"""Red, green and blue of the plate behind a label."""
TEXT: Final[Colour] = (255, 255, 255)
COLOURS: Final[tuple[Colour, ...]] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 180, 132),
    (240, 228, 66),
    (204, 121, 167),
)
"""Red, green and blue of the boxes: the palette of Okabe and Ito for the colour-blind, without its dark colours.

A colour means nothing; it helps to see which label belongs to which box."""

_OF_FACE: Final = 0.13
"""Height of the font in heights of the face."""
_OF_IMAGE: Final = 0.02
"""Least height of the font, in shorter sides of the image: legible if the image is shown on a whole screen."""
_LEAST: Final = 12
"""Least height of the font in pixels."""
_LARGEST: Final = 2.0
"""Largest height of the font, in least heights."""
_CROWDED: Final = 0.85
"""Height of the font in an image full of faces, in least heights."""
_PADDING: Final = 0.4
"""Space around the text of a plate, in heights of the font."""
_REACH: Final = 0.5
"""Greatest distance of a label from its face, in heights of the face, where shorter labels may be nearer."""
_GAP: Final = 0.3
"""Distance of a label from other faces and labels, in heights of the font."""
_PATIENCE: Final = 30
"""Frames for which labels stay short before longer ones are tried again; they would flicker otherwise."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label that has its place.

    Attributes:
        face: index of its face.
        lines: its text, the id first.
        colour: red, green and blue of the box and of the id.
        height: of the font in pixels.
        padding: around the text, in pixels.
        box: left, top, width and height of the plate in pixels.
        leader: two points in pixels, at the plate and at the box, that a line joins; None if both touch.
    """

    face: int
    lines: tuple[str, ...]
    colour: Colour
    height: int
    padding: int
    box: tuple[int, int, int, int]
    leader: tuple[Point, Point] | None

    @property
    def step(self) -> int:
        """Distance of the lines in pixels."""
        return line_step(self.height)


@dataclass(frozen=True, slots=True)
class _Detail:
    """How much labels say.

    Attributes:
        lines: makes their text.
        reach: greatest distance from the face, in heights of the face.
        gap: distance from other faces and labels, in heights of the font.
        height: of the font, in least heights; None for the height that suits the face.
    """

    lines: Callable[[Face, Collection[str]], list[str]]
    reach: float
    gap: float
    height: float | None = None


def full_lines(face: Face, tasks: Collection[str] = TASKS) -> list[str]:
    """Return the label of a face as lines: its id, and a line a task.

    >>> face = {"id": "f3", "age": 44.3, "age_stddev": 9.0, "gender": None, "emotion": "happy",
    ...         "emotion_probabilities": {"happy": 0.801}}
    >>> full_lines(face)
    ['f3', '44 ± 9 years', 'gender unknown', 'happy 80%']
    """
    wanted = [task for task in TASKS if task in tasks]
    if _all_unknown(face, wanted):
        return [face["id"], "unknown"]
    return [face["id"], *(_line(face, task) for task in wanted)]


def short_lines(face: Face, tasks: Collection[str] = TASKS) -> list[str]:
    """Return the label of a face in three short lines at most.

    >>> face = {"id": "f3", "age": 44.3, "age_stddev": 9.0, "gender": "male", "emotion": None}
    >>> short_lines(face)
    ['f3', '44 ± 9 male', 'emotion ?']
    """
    if _all_unknown(face, tasks):
        return [face["id"], "unknown"]
    age, spread = _age(face)
    parts = {
        AGE: "age ?" if np.isnan(age) else plus_minus(float(np.floor(age)), spread),
        GENDER: face[GENDER] or "gender ?",
        EMOTION: face[EMOTION] or "emotion ?",
    }
    first = " ".join(parts[task] for task in (AGE, GENDER) if task in tasks)
    return [face["id"], *filter(None, (first, parts[EMOTION] if EMOTION in tasks else ""))]


def _all_unknown(face: Face, tasks: Collection[str]) -> bool:
    return bool(tasks) and all(face[task] is None for task in tasks)


def _line(face: Face, task: str) -> str:
    """Return the line of a task of a full label."""
    label = face[task]
    if label is None:
        return f"{task} unknown"
    return age_text(*_age(face)) if task == AGE else f"{label} {face[f'{task}_probabilities'][label]:.0%}"


def _age(face: Face) -> tuple[float, float]:
    age, spread = (np.nan if face[key] is None else float(face[key]) for key in ("age", "age_stddev"))
    return age, spread


def _id_only(face: Face, _: Collection[str]) -> list[str]:
    return [face["id"]]


_DETAILS: Final = (
    _Detail(full_lines, _REACH, _GAP),
    _Detail(full_lines, _REACH, _GAP, 1.0),
    _Detail(short_lines, _REACH, _GAP, 1.0),
    _Detail(short_lines, 2 * _REACH, _GAP, _CROWDED),
)
"""From much to little; all labels of an image say as much as fits for all of them."""
_LAST: Final = _Detail(_id_only, np.inf, 0.0, _CROWDED)
"""For the faces whose label does not fit even then; a line leads to their label."""
_ROUNDS: Final = 3
"""How often labels are shortened to `_LAST`: with some of them, another one may lose its place."""


class Labels:
    """Lays the labels of frames out; in a stream they stay where they are as long as they can."""

    def __init__(self) -> None:
        self._colours: dict[str, int] = {}
        self._before: dict[str, Point] = {}
        self._detail, self._patience = 0, 0

    def lay_out(self, faces: Sequence[Face], size: Point, tasks: Collection[str] = TASKS) -> list[Label]:
        """Return the labels of a frame's faces; a face has none if there is no room at all.

        Args:
            faces: in their JSON form.
            size: width and height of the image in pixels.
            tasks: those that run; the others are not mentioned.
        """
        if not faces:
            return []
        boxes = np.array([outline(face["box"]) for face in faces], np.int64)
        before = [self._last_place(face, box) for face, box in zip(faces, boxes, strict=True)]
        drafts, corners = self._placed(faces, boxes, before, size, tasks)
        colours = self.colours(faces)
        self._before = {
            face["id"]: (corner[0] - int(box[0]), corner[1] - int(box[3]))
            for face, box, corner in zip(faces, boxes, corners, strict=True)
            if corner is not None
        }
        return [drafts.made(k, corner, boxes[k], colours[k]) for k, corner in enumerate(corners) if corner is not None]

    def colours(self, faces: Sequence[Face]) -> list[Colour]:
        """Return the colours of a frame's faces; a face keeps its own, and a new one gets the least used."""
        names = [face["id"] for face in faces]
        self._colours = {name: colour for name, colour in self._colours.items() if name in names}
        for name in names:
            used = Counter(self._colours.values())
            self._colours.setdefault(name, min(range(len(COLOURS)), key=lambda number: used[number]))
        return [COLOURS[self._colours[name]] for name in names]

    def _placed(
        self, faces: Sequence[Face], boxes: Ints, before: list[Point | None], size: Point, tasks: Collection[str]
    ) -> tuple["_Drafts", list[Point | None]]:
        """Return labels that say as much as fits, and their places."""

        def attempt(details: Sequence[_Detail]) -> tuple[_Drafts, list[Point | None]]:
            drafts = _Drafts(faces, details, tasks, size)
            return drafts, place_labels(size, boxes, drafts.sizes, before, drafts.reach, drafts.gap)

        first = self._detail if self._patience > 0 else 0
        for number in range(first, len(_DETAILS)):
            drafts, corners = attempt([_DETAILS[number]] * len(faces))
            if None not in corners:
                break
        self._patience = _PATIENCE if number > first else self._patience - 1
        self._detail = number
        for _ in range(_ROUNDS if None in corners else 0):
            drafts, corners = attempt(drafts.shortened(corners))
            if None not in corners:
                break
        for k, corner in enumerate(corners):
            if corner is None:
                corners[k] = place_inside(size, k, boxes, drafts.sizes, corners)
        return drafts, corners

    def _last_place(self, face: Face, box: Ints) -> Point | None:
        """Return where the label would be now if it had moved with its face."""
        offset = self._before.get(face["id"])
        return offset and (offset[0] + int(box[0]), offset[1] + int(box[3]))


class _Drafts:
    """The labels of a frame before they have a place."""

    def __init__(self, faces: Sequence[Face], details: Sequence[_Detail], tasks: Collection[str], size: Point) -> None:
        least = _least_height(size)
        self._details = details
        self._lines = [tuple(detail.lines(face, tasks)) for detail, face in zip(details, faces, strict=True)]
        self._heights = [
            font_height(face["box"][3], size) if detail.height is None else round(detail.height * least)
            for detail, face in zip(details, faces, strict=True)
        ]
        self._paddings = [max(round(_PADDING * height), 2) for height in self._heights]
        self.reach = [detail.reach for detail in details]
        self.gap = round(min(detail.gap for detail in details) * least)
        self.sizes = [self._size(k) for k in range(len(faces))]

    def shortened(self, corners: Sequence[Point | None]) -> list[_Detail]:
        """Return details that leave the faces which have no place their ids only."""
        return [_LAST if corner is None else detail for corner, detail in zip(corners, self._details, strict=True)]

    def _size(self, k: int) -> Point:
        height, padding = self._heights[k], self._paddings[k]
        width = max(text_width(line, height) for line in self._lines[k])
        # The bar at the left of the plate is as wide as half the padding.
        return width + 2 * padding + padding // 2, line_step(height) * len(self._lines[k]) + padding

    def made(self, k: int, corner: Point, box: Ints, colour: Colour) -> Label:
        plate = (*corner, *self.sizes[k])
        leader = _leader(plate, box)
        return Label(k, self._lines[k], colour, self._heights[k], self._paddings[k], plate, leader)


def outline(box: Sequence[float]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a box in whole pixels that hold all of it."""
    x, y, width, height = box
    return int(np.floor(x)), int(np.floor(y)), int(np.ceil(x + width)), int(np.ceil(y + height))


def font_height(face_height: float, size: Point) -> int:
    """Return the height of the font in pixels for a face of a height in an image of a width and height."""
    least = _least_height(size)
    return round(min(max(_OF_FACE * face_height, least), _LARGEST * least))


def _least_height(size: Point) -> float:
    return max(_OF_IMAGE * min(size), _LEAST)


def _leader(plate: tuple[int, int, int, int], box: Ints) -> tuple[Point, Point] | None:
    """Return the shortest line from a plate to a box, None if they are close together."""
    x, y, width, height = plate
    left, top, right, bottom = box.tolist()
    (from_x, to_x), (from_y, to_y) = _nearest(x, x + width, left, right), _nearest(y, y + height, top, bottom)
    if max(abs(from_x - to_x), abs(from_y - to_y)) <= height // 3:
        return None
    return (from_x, from_y), (to_x, to_y)


def _nearest(low: int, high: int, other_low: int, other_high: int) -> tuple[int, int]:
    """Return the nearest points of two intervals; where they overlap, the middle of what they have in common."""
    if high <= other_low:
        return high, other_low
    if other_high <= low:
        return low, other_high
    middle = (max(low, other_low) + min(high, other_high)) // 2
    return middle, middle
