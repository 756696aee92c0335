import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.imaging.crop import crop_face, crop_faces, square_crop

places = st.floats(-300, 300)
sides = st.floats(1, 400)
boxes = st.tuples(places, places, sides, sides)


@given(boxes, st.floats(0, 1))
def test_square_encloses_the_box_around_its_centre(box, margin):
    x, y, width, height = box
    left, top, side = square_crop(box, margin)
    assert side == pytest.approx(max(width, height) * (1 + 2 * margin), rel=1e-4)
    assert (left + side / 2, top + side / 2) == pytest.approx((x + width / 2, y + height / 2), abs=1e-3)


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (0, 0, 5, -1), (np.nan, 0, 5, 5), (0, 0, np.inf, 5)])
def test_a_box_without_area_is_refused(box):
    with pytest.raises(ValueError, match="face box"):
        square_crop(box, 0.0)


@given(boxes, st.sampled_from([0.0, 0.25]))
def test_share_of_black_is_the_share_outside_the_picture(box, margin):
    image = np.full((200, 150, 3), 255, np.uint8)
    left, top, side = (float(value) for value in square_crop(box, margin))
    inside_x = max(min(left + side, 150) - max(left, 0), 0)
    inside_y = max(min(top + side, 200) - max(top, 0), 0)
    crop = crop_face(image, box, 64, margin)
    pixel = 3 * side / 64
    slack = 2.5 * (pixel * (inside_x + inside_y) + pixel**2) / side**2 if side < 64 else 0.08
    assert crop.mean() / 255 == pytest.approx(inside_x * inside_y / side**2, abs=max(slack, 0.03))


@given(st.floats(5, 20), st.floats(5, 20), st.floats(20, 40), st.sampled_from([16, 56, 112]))
def test_every_pixel_comes_from_where_it_should_to_a_quarter_of_a_pixel(x, y, side, size):
    steepness = 4  # so that rounding once more, where the crop shrinks, is a quarter of a pixel
    ramp = np.tile(np.minimum(np.arange(64) * steepness, 255).astype(np.uint8), (64, 1))
    crop = crop_face(np.dstack([ramp] * 3), (x, y, side, side), size, 0.0)[size // 2, :, 0].astype(float)
    expected = x + (np.arange(size) + 0.5) * side / size - 0.5
    assert np.abs(crop / steepness - expected).max() <= 0.3
    assert abs((crop / steepness - expected).mean()) <= 0.25


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = crop_face(stripes, (0, 0, 800, 800), 100, 0.0)
    assert np.abs(crop.astype(int) - 127).max() <= 3


def test_a_whole_picture_of_the_same_size_comes_back_as_it_was():
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    np.testing.assert_array_equal(crop_face(image, (0, 0, 112, 112), 112, 0.0), image)


def test_crops_move_with_the_face():
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8), (0, 0), 3)
    moved = np.roll(image, (7, 11), axis=(0, 1))
    here, there = crop_face(image, (100.3, 90.6, 80, 60), 64, 0.1), crop_face(moved, (111.3, 97.6, 80, 60), 64, 0.1)
    assert np.abs(here.astype(int) - there).max() <= 1


def test_crops_of_no_faces_and_of_several():
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    assert crop_faces(image, np.zeros((0, 4)), 32, 0.0).shape == (0, 32, 32, 3)
    both = crop_faces(image, [(0, 0, 40, 40), (50, 20, 30, 60)], 32, 0.0)
    np.testing.assert_array_equal(both[1], crop_face(image, (50, 20, 30, 60), 32, 0.0))


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (60, 60, 1)])
def test_odd_pictures_have_crops_too(shape):
    crop = crop_face(np.full(shape, 200, np.uint8), (-5, -5, 20, 20), 24, 0.0)
    assert crop.shape == (24, 24, shape[2])


def test_a_box_far_outside_is_black():
    assert not crop_face(np.full((50, 50, 3), 9, np.uint8), (5000, -900, 40, 40), 16, 0.0).any()
