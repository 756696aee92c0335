"""Labels of faces: what they say, and that they hide no face and no other label."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, Detection, Distribution, FaceAttributes
from facial_attributes_ros.imaging.drawing import Annotator, annotate
from facial_attributes_ros.imaging.labels import COLOURS, PLATE, Labels, full_lines, short_lines
from facial_attributes_ros.imaging.lettering import text_mask, text_width
from facial_attributes_ros.imaging.placement import place_inside, place_labels

SIDES = st.integers(1, 160)


def face(box, name="f3a", known=True):
    """A face of a box, with attributes that are all known or all unknown."""

    def of(task, *probabilities):
        values = np.array(probabilities, np.float32)
        return Distribution(task, values) if known else Distribution.unknown(task)

    return FaceAttributes(
        name,
        Detection(np.array(box, np.float32), 0.9),
        44.6 if known else np.nan,
        9.0 if known else np.nan,
        of(AGE, 0, 0, 0, 0, 0.1, 0.9, 0, 0, 0),
        of(GENDER, 0.9, 0.1),
        of(EMOTION, 0, 0, 0, 0.8, 0.1, 0, 0.1),
        5,
        1.0,
    )


def records(boxes):
    return [face(box, f"face{number}").to_dict() for number, box in enumerate(boxes)]


def overlap(one, other):
    """Whether two rectangles (left, top, right, bottom) have a pixel in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def corners(label):
    x, y, width, height = label.box
    return x, y, x + width, y + height


def assert_hide_nothing(labels, boxes, size):
    plates = [corners(label) for label in labels]
    faces = [(x, y, x + width, y + height) for x, y, width, height in boxes]
    for plate in plates:
        assert plate[0] >= 0
        assert plate[1] >= 0
        assert plate[2] <= size[0]
        assert plate[3] <= size[1]
        assert not [box for box in faces if overlap(plate, box)]
    assert not [pair for pair in itertools.combinations(plates, 2) if overlap(*pair)]


@st.composite
def scenes(draw):
    """The size of an image, boxes of faces in it or across its border, and sizes of labels."""
    size = draw(st.tuples(SIDES, SIDES))
    count = draw(st.integers(1, 6))
    place = st.integers(-20, 160)
    boxes = draw(
        st.lists(st.tuples(place, place, st.integers(1, 60), st.integers(1, 60)), min_size=count, max_size=count)
    )
    labels = draw(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 40)), min_size=count, max_size=count))
    return size, np.array([(x, y, x + width, y + height) for x, y, width, height in boxes]), labels


@given(scenes(), st.booleans())
@settings(max_examples=150)
def test_labels_are_inside_the_image_and_over_nothing(scene, moving):
    size, boxes, labels = scene
    before = [(3, 3) if moving else None] * len(boxes)
    found = place_labels(size, boxes, labels, before)
    placed = [
        (x, y, x + width, y + height)
        for (x, y), (width, height) in ((corner, label) for corner, label in zip(found, labels, strict=True) if corner)
    ]
    assert all(left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1] for left, top, right, bottom in placed)
    assert not [box for box in boxes for plate in placed if overlap(box, plate)]
    assert not [pair for pair in itertools.combinations(placed, 2) if overlap(*pair)]


@given(scenes())
@settings(max_examples=100)
def test_a_label_finds_a_place_wherever_there_is_one(scene):
    size, boxes, ((width, height), *_) = scene
    taken = np.zeros(size[::-1], np.uint8)
    for left, top, right, bottom in boxes:
        taken[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = 1
    integral = cv2.integral(taken)
    sums = (
        integral[height:, width:]
        - integral[:-height, width:]
        - integral[height:, :-width]
        + integral[:-height, :-width]
    )
    (corner, *_) = place_labels(size, boxes, [(width, height)] + [(999, 999)] * (len(boxes) - 1), [None] * len(boxes))
    assert (corner is not None) == bool((sums == 0).any())


@given(scenes())
@settings(max_examples=50)
def test_the_last_resort_covers_no_other_face_and_no_label(scene):
    size, boxes, labels = scene
    corner = place_inside(size, 0, boxes, labels, [None, *[(1, 1)] * (len(boxes) - 1)])
    if corner is not None:
        plate = (*corner, corner[0] + labels[0][0], corner[1] + labels[0][1])
        others = [(1, 1, 1 + width, 1 + height) for width, height in labels[1:]]
        assert not [other for other in [*boxes[1:], *others] if overlap(plate, other)]
        assert plate[0] >= 0
        assert plate[2] <= size[0]
        assert plate[3] <= size[1]


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (1920, 1080)])
@pytest.mark.parametrize(("columns", "rows"), [(3, 2), (6, 4)])
def test_every_face_of_a_group_has_a_label_beside_it(size, columns, rows):
    wide, high = size[0] / columns, size[1] / rows
    boxes = [
        (round((column + 0.3) * wide), round((row + 0.2) * high), round(0.4 * wide), round(0.55 * high))
        for row in range(rows)
        for column in range(columns)
    ]
    labels = Labels().lay_out(records(boxes), size)
    assert sorted(label.face for label in labels) == list(range(len(boxes)))
    assert_hide_nothing(labels, boxes, size)
    assert sum(len(label.lines) >= 3 for label in labels) >= 0.7 * len(labels)


def test_a_label_far_from_its_face_is_joined_to_it_by_a_line():
    wall = [(x, 200, 40, 80) for x in range(0, 640, 40)]
    labels = Labels().lay_out(records(wall), (640, 280))
    assert len(labels) == len(wall)
    assert_hide_nothing(labels, wall, (640, 280))
    assert [label for label in labels if label.leader]


def test_labels_stay_where_they_are_while_a_face_moves_a_little():
    labels = Labels()
    near_border = [(300, y, 60, 80) for y in (310, 330, 345, 330, 310)]
    offsets = [labels.lay_out(records([box]), (640, 480))[0].box[1] - box[1] for box in near_border]
    jumps = [abs(one - other) for one, other in itertools.pairwise(offsets)]
    assert sum(jump > 20 for jump in jumps) <= 1


def test_labels_do_not_flicker_between_long_and_short():
    labels, apart, close = (
        Labels(),
        [(100, 100, 60, 80), (400, 100, 60, 80)],
        [(x, 100, 30, 80) for x in range(0, 640, 32)],
    )
    assert {len(label.lines) for label in labels.lay_out(records(apart), (640, 300))} == {4}
    assert {len(label.lines) for label in labels.lay_out(records(close), (640, 300))} <= {1, 3}
    assert {len(label.lines) for label in labels.lay_out(records(apart), (640, 300))} <= {1, 3}
    for _ in range(40):
        laid = labels.lay_out(records(apart), (640, 300))
    assert {len(label.lines) for label in laid} == {4}


def test_text_is_sized_by_the_face_and_legible():
    tall, small = Labels().lay_out(records([(20, 20, 130, 180), (400, 300, 16, 20)]), (640, 480))
    assert tall.height > small.height >= 12
    assert Labels().lay_out(records([(20, 20, 30, 40)]), (1920, 1080))[0].height >= 20


def test_an_image_that_a_face_fills_has_the_label_at_its_lower_edge():
    (label,) = Labels().lay_out(records([(-5, -5, 210, 260)]), (200, 250))
    assert label.box[1] > 150
    assert corners(label)[3] <= 250


def test_unknown_is_shown_and_tasks_that_do_not_run_are_not_mentioned():
    known, unknown = face((0, 0, 9, 9)).to_dict(), face((0, 0, 9, 9), known=False).to_dict()
    assert full_lines(known) == ["f3a", "44 ± 9 years", "male 90%", "happy 80%"]
    assert full_lines(known | {"gender": None}) == ["f3a", "44 ± 9 years", "gender unknown", "happy 80%"]
    assert full_lines(known, {EMOTION}) == ["f3a", "happy 80%"]
    assert short_lines(known) == ["f3a", "44 ± 9 male", "happy"]
    assert full_lines(unknown) == short_lines(unknown) == ["f3a", "unknown"]
    assert full_lines(unknown, ()) == short_lines(known, ()) == ["f3a"]


def test_the_font_has_a_true_plus_minus():
    missing = text_mask("\u2603", 20)
    for sign in "±·…?%":
        assert not np.array_equal(text_mask(sign, 20), missing[:, : text_width(sign, 20)])


def test_annotated_copies_leave_the_image_alone():
    image = np.full((480, 640, 3), 128, np.uint8)
    before = image.copy()
    drawn = annotate(image, [face((100, 100, 80, 100))])
    np.testing.assert_array_equal(image, before)
    inside, plate = drawn[110:190, 110:170], drawn[205:215, 105:112]
    assert (inside == 128).all()
    assert (plate == PLATE[::-1]).all(axis=2).any()
    assert (drawn.reshape(-1, 3) == np.array(COLOURS[0][::-1])).all(axis=1).any()


@pytest.mark.parametrize("size", [(1, 1), (8, 300), (40, 40)])
def test_an_image_without_room_for_labels_is_drawn_all_the_same(size):
    image = np.zeros((*size, 3), np.uint8)
    assert Annotator().draw(image, [face((0, 0, 30, 30)), face((5, 5, 60, 60), "f9")]).shape == image.shape


def test_a_face_keeps_its_colour_and_few_faces_have_different_ones():
    labels, faces = Labels(), records([(0, 0, 9, 9)] * 7)
    first = labels.colours(faces)
    assert len(set(first[:5])) == 5
    assert labels.colours(faces[::-1]) == first[::-1]
    assert labels.colours(faces[3:4]) == first[3:4]


def test_colours_are_legible_on_the_plate():
    def luminance(colour):
        linear = [(v / 255 / 12.92 if v / 255 <= 0.04045 else ((v / 255 + 0.055) / 1.055) ** 2.4) for v in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert all((luminance(colour) + 0.05) / (luminance(PLATE) + 0.05) > 4.5 for colour in COLOURS)
