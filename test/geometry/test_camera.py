"""Pixels to directions and back, through lenses of both kinds."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.geometry.camera import Camera, camera_of

from .heads import LENSES, MATRIX, PLAIN

PIXELS = st.lists(st.tuples(st.floats(0, 640), st.floats(0, 480)), min_size=1, max_size=8)


@given(st.sampled_from([PLAIN, *LENSES.values()]), PIXELS)
def test_a_pixels_direction_is_seen_at_the_pixel_and_has_unit_length(camera, pixels):
    rays = camera.rays(pixels)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(camera.project(rays), pixels, atol=1e-6)


@given(st.floats(-1.0, 1.0), st.floats(-1.0, 1.0), st.floats(0.1, 10))
def test_projections_are_opencvs(x, y, distance):
    point = distance * np.array([[x, y, 1.5]])
    for name, camera in LENSES.items():
        project = cv2.fisheye.projectPoints if name == "equidistant" else cv2.projectPoints
        seen, *_ = project(point[:, None], np.zeros(3), np.zeros(3), camera.matrix, camera.distortion)
        np.testing.assert_allclose(camera.project(point), seen.reshape(1, 2), atol=1e-6)


def test_directions_by_hand():
    np.testing.assert_allclose(PLAIN.rays([[320, 240]]), [[0, 0, 1]])
    np.testing.assert_allclose(PLAIN.rays([[920, 240]]), [[0.5**0.5, 0, 0.5**0.5]])  # 600 pixels to the right: 45°
    np.testing.assert_allclose(PLAIN.rays([[320, 850]]), [[0, 0.5**0.5, 0.5**0.5]])  # 610 pixels down: 45° down
    fisheye = Camera(640, 480, np.diag([200 / np.pi, 200 / np.pi, 1]), np.zeros(4), fisheye=True)
    np.testing.assert_allclose(fisheye.rays([[100, 0], [150, 0]]), [[1, 0, 0], [0.5**0.5, 0, -(0.5**0.5)]], atol=1e-9)
    assert np.isnan(PLAIN.project([[0, 0, -1]])).all()
    assert np.isnan(PLAIN.rays([[np.nan, 0]])).all()


def info(**changes):
    roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
    fields = {"width": 640, "height": 480, "distortion_model": "plumb_bob", "d": [-0.3, 0.1, 0, 0, 0], "roi": roi}
    projection = [500, 0, 300, 0, 0, 500, 250, 0, 0, 0, 1, 0]
    return SimpleNamespace(
        **(fields | {"k": MATRIX.ravel(), "p": projection, "binning_x": 0, "binning_y": 0} | changes)
    )


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 300), st.integers(0, 200))
def test_binning_and_region_show_the_same_directions_at_other_pixels(across, down, left, top):
    roi = SimpleNamespace(x_offset=left, y_offset=top, width=240, height=120)
    cut = camera_of(info(binning_x=across, binning_y=down, roi=roi))
    assert (cut.width, cut.height) == (240 // across, 120 // down)
    pixels = np.array([[0.0, 0.0], [100, 50], [239, 119]])
    whole = camera_of(info()).rays(pixels + np.array([left, top]))
    np.testing.assert_allclose(cut.rays(pixels / (across, down)), whole, atol=1e-9)


def test_rectified_images_have_the_projection_matrix_and_no_lens():
    camera = camera_of(info(), rectified=True)
    np.testing.assert_allclose(camera.rays([[800, 250]]), [[0.5**0.5, 0, 0.5**0.5]])
    assert camera_of(info(distortion_model="equidistant", d=[0.1, 0, 0, 0])).fisheye
    assert not camera_of(info(distortion_model="equidistant", d=[0.1, 0, 0, 0]), rectified=True).fisheye


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"k": [0] * 9}, "not calibrated"),
        ({"k": [np.nan] * 9}, "not calibrated"),
        ({"distortion_model": "kannala_brandt"}, "kannala_brandt with 5 coefficients"),
        ({"distortion_model": "equidistant"}, "equidistant with 5 coefficients"),
        ({"d": [np.nan] * 5}, "plumb_bob with 5 coefficients"),
    ],
)
def test_a_calibration_that_cannot_be_used_is_named(changes, reason):
    with pytest.raises(UserError, match=reason):
        camera_of(info(**changes))
