import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.imaging.mounting import MOUNTINGS, UPRIGHT, in_camera_image, upright_image
from facial_attributes_ros.options import DetectorOptions, PipelineOptions
from facial_attributes_ros.pipeline import FramePipeline

HEIGHT, WIDTH = 60, 90


def test_an_upright_camera_costs_nothing():
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert upright_image(image, UPRIGHT) is image


def test_the_image_of_a_camera_that_is_turned_becomes_upright():
    scene = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    np.testing.assert_array_equal(upright_image(scene[::-1, ::-1].copy(), "upside_down"), scene)
    # A camera that is turned clockwise sees the scene turned the other way.
    np.testing.assert_array_equal(upright_image(np.rot90(scene).copy(), "clockwise"), scene)
    np.testing.assert_array_equal(upright_image(np.rot90(scene, -1).copy(), "counterclockwise"), scene)


@given(
    st.sampled_from(MOUNTINGS),
    st.tuples(st.integers(0, 70), st.integers(0, 40), st.integers(2, 19), st.integers(2, 19)),
)
def test_positions_are_those_of_the_cameras_image(mounting, box):
    x, y, width, height = box
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[y : y + height, x : x + width] = 255
    upright = upright_image(image, mounting)
    found = np.array(cv2.boundingRect(upright[..., 0]), np.float32)
    corner = Detection(found, 0.9, np.full((5, 2), found[:2] + found[2:] / 2, np.float32))
    back = in_camera_image(corner, mounting, WIDTH, HEIGHT)
    assert back.box.tolist() == [x, y, width, height]
    assert back.landmarks[0].tolist() == [x + width / 2, y + height / 2]
    assert back.box.dtype == back.landmarks.dtype == np.float32


@pytest.mark.parametrize("mounting", MOUNTINGS)
def test_the_pipeline_gives_the_faces_of_an_upright_camera_where_they_are(mounting, yunet, fake_engine, six_faces):
    turned = {"upside_down": 2, "clockwise": 1, "counterclockwise": -1}.get(mounting, 0)
    expected = FramePipeline(yunet, fake_engine).still(six_faces)
    image = np.rot90(six_faces, turned).copy()
    faces = FramePipeline(yunet, fake_engine, PipelineOptions(camera_mounting=mounting)).still(image)
    assert len(faces) == len(expected) == 6
    height, width = image.shape[:2]
    for face, upright in zip(faces, expected, strict=True):
        there = in_camera_image(upright.detection, mounting, width, height)
        np.testing.assert_allclose(face.detection.box, there.box, atol=0.01)
        np.testing.assert_allclose(face.detection.landmarks, there.landmarks, atol=0.01)


class OneFace:
    """Finds the same face in every image."""

    options = DetectorOptions()

    def detect(self, image, search=None):
        return [Detection(np.array([20, 10, 30, 30], np.float32), 0.9)]


def test_turning_the_camera_in_the_middle_begins_anew(fake_engine):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pipeline = FramePipeline(OneFace(), fake_engine)
    (before,) = [pipeline.process(image, time / 10).faces for time in range(3)][-1]
    pipeline.options = PipelineOptions(camera_mounting="upside_down")
    (after,) = [pipeline.process(image, 0.3 + time / 10).faces for time in range(3)][-1]
    assert before.id != after.id
    assert before.detection.box.tolist() == [20, 10, 30, 30]
    assert after.detection.box.tolist() == [40, 20, 30, 30]
