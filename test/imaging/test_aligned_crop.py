import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.imaging.crop import crop_face, crop_faces, crop_frame, cut_frame

FACE = np.array([[35, 42], [65, 42], [50, 58], [38, 74], [62, 74]], float)
"""Landmarks of an upright face in a box of 78 pixels around (50, 56)."""
BOX = (11.0, 17.0, 78.0, 78.0)
CENTRE = np.array([50.0, 56.0])


def moved(points, scale=1.0, roll=0.0, offset=(0.0, 0.0), about=CENTRE):
    """Return points scaled and turned clockwise by so many radians about a point, then moved."""
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return (np.asarray(points) - about) @ turn.T * scale + about + offset


def square_around(centre, side):
    return (centre[0] - side / 2, centre[1] - side / 2, side, side)


def scene(points, side=400):
    """Return an image with a face of three colours: eyes, nose and mouth."""
    image = np.full((side, side, 3), 60, np.uint8)
    for (x, y), colour in zip(points, [(255, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 255)], strict=True):
        cv2.circle(image, (round(x * 16), round(y * 16)), 10 * 16, colour, -1, cv2.LINE_AA, 4)
    return image


def test_an_upright_face_is_cut_about_as_its_box():
    x, y, side, roll = crop_frame(BOX, 0.0, FACE)
    assert (x, y) == pytest.approx(CENTRE, abs=2)
    assert side == pytest.approx(78, rel=0.1)
    assert roll == pytest.approx(0, abs=1e-9)


@given(
    st.floats(0.3, 4),
    st.floats(-np.pi, np.pi),
    st.tuples(st.floats(-200, 200), st.floats(-200, 200)),
    st.floats(-0.1, 0.5),
)
def test_the_square_follows_every_similarity_of_the_landmarks(scale, roll, offset, margin):
    x, y, side, angle = crop_frame(BOX, margin, FACE)
    points = moved(FACE, scale, roll, offset)
    centre = moved(CENTRE, scale, roll, offset)
    found = crop_frame(square_around(centre, 78 * scale), margin, points)
    assert found[:2] == pytest.approx(moved((x, y), scale, roll, offset), abs=1e-3 * scale)
    assert found[2] == pytest.approx(side * scale, rel=1e-4)
    assert np.angle(np.exp(1j * (found[3] - angle - roll))) == pytest.approx(0, abs=1e-6)


@given(st.floats(0.85, 1.18))
def test_the_scale_does_not_hang_on_the_box(share):
    exact = crop_frame(BOX, 0.0, FACE)
    np.testing.assert_allclose(crop_frame(square_around(CENTRE, 78 * share), 0.0, FACE), exact)


@pytest.mark.parametrize("roll", [0.0, 0.35, -1.2, np.pi])
def test_a_turned_face_gives_the_crop_of_an_upright_one(roll):
    upright = moved(FACE, 2.0, 0.0, (150, 150))
    centre = moved(CENTRE, 2.0, 0.0, (150, 150))
    turned = moved(upright, 1.0, roll, about=centre)
    box = square_around(centre, 156)
    crops = [crop_face(scene(points), box, 64, 0.05, points).astype(int) for points in (upright, turned)]
    assert np.abs(crops[0] - crops[1]).mean() < 1.5
    assert np.abs(crop_face(scene(turned), box, 64, 0.05).astype(int) - crops[0]).mean() > 5 or roll == 0


@pytest.mark.parametrize(("width", "height"), [(0.35, 1.0), (0.1, 1.0), (1.0, 0.6)])
def test_a_head_that_turns_or_nods_keeps_its_scale(width, height):
    profile = (FACE - CENTRE) * [width, height] + CENTRE
    assert crop_frame(BOX, 0.0, profile)[2] == pytest.approx(crop_frame(BOX, 0.0, FACE)[2], rel=0.05)
    assert crop_frame(BOX, 0.0, profile)[3] == pytest.approx(0, abs=1e-9)


ABSURD = {
    "not finite": np.where(np.arange(10).reshape(5, 2) == 3, np.nan, FACE),
    "unknown": np.full((5, 2), np.nan),
    "one point": np.full((5, 2), 50.0),
    "far outside": FACE + 90,
    "much too small": moved(FACE, 0.2),
    "much too large": moved(FACE, 3.0),
    "mirrored": (FACE - CENTRE) * [-1, 1] + CENTRE,
    "mouth beside the eyes": FACE + np.array([[0, 0], [0, 0], [0, 0], [70, -10], [70, -10]]),
    "four points": FACE[:4],
}


@pytest.mark.parametrize("landmarks", ABSURD.values(), ids=ABSURD.keys())
def test_absurd_landmarks_leave_the_crop_to_the_box(landmarks):
    np.testing.assert_array_equal(crop_frame(BOX, 0.1, landmarks), crop_frame(BOX, 0.1))


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=10, max_size=10))
def test_no_landmarks_whatever_break_the_crop(numbers):
    frame = crop_frame(BOX, 0.0, np.reshape(numbers, (5, 2)))
    assert np.isfinite(frame).all()
    assert 39 <= frame[2] <= 156
    assert np.hypot(*(frame[:2] - CENTRE)) <= 0.6 * 78 + 1e-6


def test_faces_of_a_frame_follow_their_own_landmarks():
    points = np.stack([FACE, moved(FACE, 1.5, 0.4, (100, 60))])
    boxes = [BOX, square_around(moved(CENTRE, 1.5, 0.4, (100, 60)), 117)]
    image = scene(points.reshape(-1, 2)[:5])
    together = crop_faces(image, boxes, 48, 0.0, points)
    for crop, box, landmarks in zip(together, boxes, points, strict=True):
        np.testing.assert_array_equal(crop, crop_face(image, box, 48, 0.0, landmarks))


def test_what_lies_past_the_border_is_black_or_mirrored():
    image = np.full((60, 60, 3), 200, np.uint8)
    frame = (0, 30, 40, 0.3)
    assert (cut_frame(image, frame, 40) == 0).mean() > 0.4
    assert (cut_frame(image, frame, 40, cv2.BORDER_REFLECT_101) == 200).all()
