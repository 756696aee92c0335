"""Bearing, distance and head pose of generic heads at known places."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from facial_attributes_ros.geometry.depth import measured
from facial_attributes_ros.geometry.head import pupil_distance
from facial_attributes_ros.geometry.pose import face_poses, quaternion
from facial_attributes_ros.imaging.mounting import MOUNTINGS, in_camera_image

from .heads import LENSES, PLAIN, head, looking

FACING = math.radians(20)
PLACES = st.tuples(st.floats(-0.4, 0.4), st.floats(-0.3, 0.3), st.just(1.0))


def pose_of(camera, face, mounting="upright"):
    (pose,) = face_poses(camera, [face], FACING, mounting)
    return pose


@settings(max_examples=40)
@given(
    st.sampled_from([PLAIN, *LENSES.values()]),
    PLACES,
    st.floats(0.4, 1.2),
    st.tuples(st.floats(-35, 35), st.floats(-15, 15), st.floats(-30, 30)),
)
def test_a_generic_head_is_found_where_it_is(camera, place, distance, angles):
    position = distance * np.array(place)
    pose = pose_of(camera, head(camera, position, looking(position, *angles)))
    assert np.linalg.norm(pose.bearing) == pytest.approx(1)
    away = math.degrees(math.acos(min(pose.bearing @ position / np.linalg.norm(position), 1)))
    assert away < math.degrees(0.015 / distance)
    assert pose.distance == pytest.approx(np.linalg.norm(position), rel=0.08)
    assert pose.distance_stddev > 0.06 * pose.distance
    np.testing.assert_array_less(np.abs(np.degrees(pose.angles) - angles), 1 + 1.5 * np.degrees(pose.angles_stddev))
    # The angles and the rotation say the same.
    np.testing.assert_allclose(pose.rotation, looking(pose.bearing, *np.degrees(pose.angles)), atol=1e-6)


def test_both_frames_by_hand():
    """A head straight ahead that faces the camera: its x axis points to the camera, its left is right in the image."""
    pose = pose_of(PLAIN, head(PLAIN, (0, 0, 1.0), looking((0, 0, 1))))
    np.testing.assert_allclose(pose.rotation @ [1, 0, 0], [0, 0, -1], atol=0.01)
    np.testing.assert_allclose(pose.rotation @ [0, 1, 0], [1, 0, 0], atol=0.01)
    np.testing.assert_allclose(pose.rotation @ [0, 0, 1], [0, -1, 0], atol=0.01)


@pytest.mark.parametrize(
    ("angles", "axis", "leads_to"),
    [
        ((30, 0, 0), (1, 0, 0), (0.5, 0, -math.sqrt(0.75))),  # turned to the person's left, which is right in the image
        ((0, 20, 0), (1, 0, 0), (0, 0.34, -0.94)),  # lowered: down is y
        ((0, 0, 25), (0, 0, 1), (-0.42, -0.91, 0)),  # the scalp leans to the person's right, which is left in the image
    ],
)
def test_angles_by_hand(angles, axis, leads_to):
    np.testing.assert_allclose(looking((0, 0, 1), *angles) @ axis, leads_to, atol=0.01)
    pose = pose_of(PLAIN, head(PLAIN, (0, 0, 1.0), looking((0, 0, 1), *angles)))
    found = np.degrees(pose.angles)
    turned = np.argmax(angles)
    assert found[turned] > 0.1 * angles[turned]
    np.testing.assert_allclose(np.delete(found, turned), 0, atol=3)
    if turned != 1:  # a nod is hardly seen
        np.testing.assert_allclose(pose.rotation @ axis, leads_to, atol=0.08)


@settings(max_examples=20)
@given(st.floats(-35, 35), st.floats(-15, 15), st.floats(-30, 30), st.floats(-0.3, 0.3))
def test_a_mirrored_face_has_the_mirrored_pose(yaw, pitch, roll, aside):
    """Nothing prefers a side."""
    face = head(PLAIN, (aside, 0.1, 1.2), looking((aside, 0.1, 1.2), yaw, pitch, roll))
    seen = face.detection
    landmarks = (seen.landmarks * (-1, 1) + (640, 0))[[1, 0, 2, 4, 3]].astype(np.float32)
    box = np.array([640 - seen.box[0] - seen.box[2], *seen.box[1:]], np.float32)
    one, other = (
        pose_of(PLAIN, face),
        pose_of(PLAIN, replace(face, detection=replace(seen, box=box, landmarks=landmarks))),
    )
    np.testing.assert_allclose(other.bearing, one.bearing * (-1, 1, 1), atol=1e-6)
    np.testing.assert_allclose(other.angles, one.angles * (-1, 1, -1), atol=1e-3)
    assert other.distance == pytest.approx(one.distance, rel=1e-4)


@pytest.mark.parametrize("mounting", MOUNTINGS)
def test_a_turned_camera_has_real_bearings_and_angles_relative_to_upright(mounting):
    """The detection as it comes from the upright image, in the pixels of the camera."""
    side = mounting in ("clockwise", "counterclockwise")
    width, height = (480, 640) if side else (640, 480)  # of the camera's image; the upright one is 640x480
    camera = replace(
        PLAIN, width=width, height=height, matrix=np.array([[600.0, 0, width / 2], [0, 600, height / 2], [0, 0, 1]])
    )
    upright = replace(PLAIN, matrix=np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]))
    face = head(upright, (0.3, -0.2, 1.5), looking((0.3, -0.2, 1.5), 15, -5, 8))
    expected = pose_of(upright, face)
    face = replace(face, detection=in_camera_image(face.detection, mounting, width, height))
    pose = pose_of(camera, face, mounting)
    turn = {"upright": np.eye(3), "upside_down": np.diag([-1, -1, 1])}
    turn["clockwise"] = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    turn["counterclockwise"] = turn["clockwise"].T
    np.testing.assert_allclose(pose.bearing, turn[mounting] @ expected.bearing, atol=1e-5)
    np.testing.assert_allclose(pose.rotation, turn[mounting] @ expected.rotation, atol=1e-3)
    np.testing.assert_allclose(pose.angles, expected.angles, atol=1e-3)
    assert pose.facing == pytest.approx(expected.facing, abs=1e-3)


def test_a_child_is_nearer_than_an_adult_who_looks_as_large_and_an_unknown_age_is_less_certain():
    face = head(PLAIN, (0, 0, 1.0), looking((0, 0, 1)))
    adult, child, unknown = (
        pose_of(PLAIN, replace(face, age=age, age_stddev=deviation))
        for age, deviation in ((40.0, 3.0), (4.0, 1.0), (math.nan, math.nan))
    )
    assert child.distance == pytest.approx(0.79 * adult.distance, rel=0.03)
    assert unknown.distance_stddev / unknown.distance > 1.3 * adult.distance_stddev / adult.distance
    sizes = [pupil_distance(age, 0.0)[0] for age in range(0, 60)]
    assert sizes == sorted(sizes)


def test_what_is_not_known_is_nan_and_the_bearing_always_there():
    face = head(PLAIN, (0.2, 0.1, 1.0), looking((0.2, 0.1, 1)))
    no_landmarks = replace(face, detection=replace(face.detection, landmarks=np.full((5, 2), np.nan, np.float32)))
    profile = head(PLAIN, (0.2, 0.1, 1.0), looking((0.2, 0.1, 1), yaw=80))
    boxed, aside = pose_of(PLAIN, no_landmarks), pose_of(PLAIN, profile)
    for pose in (boxed, aside):
        assert np.isnan(pose.rotation).all()
        assert np.isnan(pose.angles).all()
        assert pose.bearing @ np.array([0.2, 0.1, 1]) / math.sqrt(1.05) > 0.998
        assert pose.distance_stddev > 0
    assert math.isnan(boxed.facing)
    assert aside.facing < 0.05
    assert face_poses(PLAIN, [], FACING) == []


POINT = st.tuples(st.floats(-300, 900), st.floats(-300, 900))


@given(
    st.sampled_from([PLAIN, *LENSES.values()]),
    st.lists(POINT, min_size=5, max_size=5),
    st.tuples(st.floats(-300, 900), st.floats(-300, 900), st.floats(1, 800), st.floats(1, 800)),
    st.floats(0, 1),
)
def test_whatever_the_detector_gives_there_is_a_bearing_and_no_error(camera, landmarks, box, score):
    face = head(PLAIN, (0, 0, 1.0), looking((0, 0, 1)))
    odd = replace(face.detection, landmarks=np.array(landmarks, np.float32), box=np.array(box, np.float32), score=score)
    pose = pose_of(camera, replace(face, detection=odd))
    assert np.linalg.norm(pose.bearing) == pytest.approx(1)
    assert math.isnan(pose.facing) or 0 <= pose.facing <= 1
    assert not pose.placed or (pose.distance > 0 and np.isfinite(pose.angles_stddev).all())


def test_facing_falls_with_the_angle_and_with_time_without_a_detection():
    def facing(yaw, held=0.0):
        return pose_of(PLAIN, head(PLAIN, (0.3, 0, 1.5), looking((0.3, 0, 1.5), yaw), held=held))

    probabilities = [facing(yaw).facing for yaw in (0, 10, 20, 30, 45)]
    assert probabilities == sorted(probabilities, reverse=True)
    assert probabilities[0] > 0.8
    assert probabilities[2] == pytest.approx(0.5, abs=0.15)
    assert probabilities[4] < 0.05
    now, later = facing(0), facing(0, held=0.2)
    assert later.held == pytest.approx(0.2)
    assert (later.angles_stddev > now.angles_stddev).all()
    assert np.isnan(facing(0, held=1.0).angles).all()


def test_a_depth_image_gives_the_distance_unless_it_shows_something_else():
    face = head(PLAIN, (0.4, 0.1, 1.5), looking((0.4, 0.1, 1.5)))
    pose = pose_of(PLAIN, face)
    depth = np.full((240, 320), 1.45, np.float32)  # half as many pixels as the image
    (known,) = measured(PLAIN, [pose], [face], depth)
    assert known.from_depth
    assert known.distance == pytest.approx(1.45 / pose.bearing[2], rel=1e-5)
    assert known.distance_stddev < 0.3 * pose.distance_stddev
    for useless in (np.zeros_like(depth), np.full_like(depth, np.nan), np.full_like(depth, 0.4)):
        assert measured(PLAIN, [pose], [face], useless)[0].distance == pose.distance


@given(st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda values: np.linalg.norm(values) > 0.1))
def test_quaternions_are_those_of_scipy(values):
    rotation = Rotation.from_quat(values)
    found = quaternion(rotation.as_matrix())
    assert found[3] >= 0
    np.testing.assert_allclose(Rotation.from_quat(found).as_matrix(), rotation.as_matrix(), atol=1e-9)
