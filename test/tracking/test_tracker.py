import math

import numpy as np
import pytest
from compare_trackers import ours
from crossings import Crossing, cross
from hypothesis import given, settings
from hypothesis import strategies as st

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.options import TrackingOptions
from facial_attributes_ros.tracking.identifiers import Identifiers
from facial_attributes_ros.tracking.motion import Motion
from facial_attributes_ros.tracking.tracker import Tracker


def face(x, y=100.0, size=60.0, score=0.9):
    landmarks = np.full((5, 2), (x, y), np.float32)
    return Detection(np.array([x - size * 0.4, y - size / 2, size * 0.8, size], np.float32), score, landmarks)


def ids(tracks):
    return [track.id for track in tracks]


def test_a_face_is_born_with_its_second_detection():
    tracker = Tracker()
    assert tracker.update([face(100)], 0.0) == []
    (track,) = tracker.update([face(101)], 0.05)
    assert track.id[0].isalpha()
    assert track.born == 0.0
    assert track.detected


@pytest.mark.parametrize("rate", [2, 5, 15, 60])
def test_faces_are_born_and_kept_at_any_frame_rate(rate):
    tracker = Tracker()
    seen = {tuple(ids(tracker.update([face(100 + 30 * k / rate)], k / rate))) for k in range(3 * rate)}
    assert len(seen - {()}) == 1


def test_a_slow_camera_may_be_uneven():
    tracker = Tracker()
    times = np.cumsum([0.7, 1.4, 0.6, 1.7, 0.5, 0.8, 1.9, 1.1, 0.6, 2.0, 0.9])
    seen = {tuple(ids(tracker.update([face(100)], float(now)))) for now in times}
    assert len(seen - {()}) == 1


def test_two_detections_that_lie_too_far_apart_in_time_are_no_birth():
    tracker = Tracker()
    for k in range(10):
        tracker.update([face(100)] if k in (2, 9) else [], k * 0.03)
    assert tracker.ids == set()


def test_a_weak_detection_continues_a_track_but_does_not_begin_one():
    tracker = Tracker()
    for k in range(10):
        assert tracker.update([face(100, score=0.45)], k * 0.05) == []
    tracker.update([face(100)], 0.5)
    (track,) = tracker.update([face(100)], 0.55)
    assert ids(tracker.update([face(101, score=0.45)], 0.6)) == [track.id]


def reach(score):
    """How far from a still face, in pixels, a detection of this score continues its track."""
    for distance in range(200):
        tracker = Tracker(TrackingOptions(acceleration=0.3))
        for k in range(20):
            before = ids(tracker.update([face(100)], k * 0.05))
        tracker.update([], 1.3)  # long enough not to count as a leap
        if ids(tracker.update([face(100 + distance, score=score)], 1.4)) != before:
            return distance
    return math.inf


def test_a_weak_detection_continues_only_a_near_track():
    assert 0 < reach(0.45) < 0.8 * reach(0.9) < 100


@pytest.mark.parametrize(("gap", "same"), [(0.9, True), (1.2, False)])
def test_an_occlusion_of_up_to_a_second_keeps_the_id(gap, same):
    tracker = Tracker()
    clock = np.arange(0, 1, 0.05)
    for now in clock:
        tracks = tracker.update([face(100 + 80 * now)], now)
    (before,) = ids(tracks)
    for now in np.arange(1, 0.95 + gap, 0.05):
        assert tracker.update([], now) == []
    for now in np.arange(0.95 + gap, 1.2 + gap, 0.05):
        tracks = tracker.update([face(100 + 80 * now)], now)
    (after,) = ids(tracks)
    assert (after == before) is same


@pytest.mark.parametrize("rate", [5, 10, 30])
def test_an_occlusion_of_a_second_counts_from_frame_to_frame(rate):
    tracker = Tracker()
    times = np.arange(0, 4, 1 / rate)
    seen = {now: ids(tracker.update([] if 2 < now < 2.95 else [face(100)], float(now))) for now in times}
    assert seen[times[-1]] == seen[times[rate]] != []


@pytest.mark.parametrize("rate", [10, 15, 30])
def test_a_face_that_starts_and_stops_at_once_keeps_its_id(rate):
    tracker = Tracker()
    way = 480 * np.clip(np.arange(0, 3, 1 / rate) - 1, 0, 0.7)  # eight face sizes a second
    seen = [ids(tracker.update([face(100 + x)], k / rate)) for k, x in enumerate(way)]
    assert seen[-1] == seen[2] != []


@pytest.mark.parametrize("rate", [15, 30])
def test_two_side_by_side_who_start_at_once_are_not_taken_for_each_other(rate):
    tracker, named = Tracker(), set()
    for k, x in enumerate(420 * np.clip(np.arange(0, 3, 1 / rate) - 1, 0, 0.7)):
        left, right = face(100 + x), face(190 + x)
        named |= {(track.id, track.detection is left) for track in tracker.update([left, right], k / rate)}
    assert len(named) == 2


@pytest.mark.parametrize(("leap", "size", "unseen", "same"), [
    (60, 60, 0, True), (60, 100, 0, False), (100, 60, 0, False), (60, 60, 0.5, False),
])  # fmt: skip
def test_a_leap_is_followed_to_a_near_face_of_the_same_size_only(leap, size, unseen, same):
    tracker = Tracker(TrackingOptions(acceleration=0.3))
    for k in range(10):
        before = ids(tracker.update([face(100)], k * 0.05))
    tracker.update([], 0.5)
    tracker.update([face(100 + leap, size=size)], 0.5 + unseen)
    after = ids(tracker.update([face(100 + leap, size=size)], 0.55 + unseen))
    assert (after == before) is same


def test_everybody_moves_with_the_picture():
    tracker = Tracker()
    for k in range(30):
        x = 40 * max(0, k - 9)  # pixels, in a fifteenth of a second
        faces = [face(100 + x), face(140 + x)] if k != 20 else []
        tracks = tracker.update(faces, k / 15, shift=(40.0 if k > 9 else 0.0, 0.0))
        if k == 8:
            before = ids(tracks)
    assert ids(tracks) == before
    assert tracks[0].detection.box[0] < tracks[1].detection.box[0]


def test_whoever_comes_in_where_somebody_left_is_somebody_new():
    tracker, size = Tracker(), (640, 480)
    leaving = [tracker.update([face(500 + 200 * k / 15)], k / 15, size) for k in range(11)]
    coming = [tracker.update([face(640 - 100 * k / 15)] if k >= 0 else [], (k + 16) / 15, size) for k in range(-5, 6)]
    assert ids(leaving[-1])
    assert ids(coming[-1])
    assert ids(leaving[-1]) != ids(coming[-1])


def test_a_face_at_the_border_keeps_its_id_through_missed_frames():
    tracker, size = Tracker(), (640, 480)
    seen = [tracker.update([face(615)] if k % 3 else [], k / 15, size) for k in range(45)]
    assert len({name for tracks in seen for name in ids(tracks)}) == 1


def test_a_jump_back_in_time_begins_anew_with_new_ids():
    tracker = Tracker()
    before = {name for k in range(5) for name in ids(tracker.update([face(100)], 100 + k * 0.05))}
    after = {name for k in range(5) for name in ids(tracker.update([face(100)], k * 0.05))}
    assert len(before) == len(after) == 1
    assert before != after


def test_a_long_gap_in_the_recording_ends_all_tracks():
    tracker = Tracker()
    before = {name for k in range(5) for name in ids(tracker.update([face(100)], k * 0.05))}
    after = {name for k in range(5) for name in ids(tracker.update([face(100)], 60 + k * 0.05))}
    assert not before & after


def test_between_detections_the_track_and_its_landmarks_are_predicted():
    tracker = Tracker()
    for k in range(20):
        tracks = tracker.update([face(100 + 6 * k)] if k % 3 == 0 else None, k * 0.05)
        if k > 9:
            (track,) = tracks
            assert track.detected is (k % 3 == 0)
            assert track.detection.held == pytest.approx(k % 3 * 0.05)
            centre = float(track.detection.box[0] + track.detection.box[2] / 2)
            assert centre == pytest.approx(100 + 6 * k, abs=5)
            assert track.detection.landmarks[2, 0] == pytest.approx(centre, abs=3)


@pytest.mark.parametrize("growth", [-30.0, 60.0])
def test_landmarks_of_a_predicted_face_grow_and_shrink_with_its_box(growth):
    """Pixels a second, as somebody comes nearer or goes away."""
    tracker = Tracker()
    for k in range(30):
        size = 100 + growth * k / 15
        landmarks = np.array([[85, 80], [115, 80], [100, 100], [88, 120], [112, 120]], np.float32)
        seen = (landmarks - 100) * size / 100 + 100
        box = np.array([100 - size / 2, 100 - size / 2, size, size], np.float32)
        tracks = tracker.update([Detection(box, 0.9, seen)] if k < 15 or k % 3 == 0 else None, k / 15)
        if k > 15 and k % 3:
            (track,) = tracks
            assert not track.detected
            relative = (track.detection.landmarks - track.detection.box[:2]) / track.detection.box[2:]
            np.testing.assert_allclose(relative, (seen - box[:2]) / size, atol=1e-4)


def test_ids_are_never_used_twice():
    identifiers = Identifiers()
    given_out = [identifiers.new() for _ in range(20_000)]
    assert len(set(given_out)) == len(given_out)
    assert all(name[0].isalpha() and name.isalnum() for name in given_out)


@pytest.mark.parametrize("rate", [15, 30])
def test_two_who_pass_without_overlap_never_swap(rate):
    outcomes = [cross(Crossing(overlap=False, rate=rate), seed, ours(rate)) for seed in range(20)]
    assert not any(outcome.confused or outcome.renamed for outcome in outcomes)


@pytest.mark.parametrize("rate", [15, 30])
@pytest.mark.parametrize("blackout", [0.0, 0.9])
def test_two_of_one_size_who_hide_each_other_swap_at_most_once_in_twenty(rate, blackout):
    """Blackout: up to so many seconds around the meeting, nobody is detected at all."""
    outcomes = [cross(Crossing(rate=rate, blackout=blackout), seed, ours(rate)) for seed in range(40)]
    assert sum(outcome.confused for outcome in outcomes) <= 2


@pytest.mark.parametrize("rate", [5, 10])
def test_slow_cameras_confuse_more_crossings_but_seldom_leave_ids_swapped(rate):
    outcomes = [cross(Crossing(rate=rate), seed, ours(rate)) for seed in range(40)]
    assert sum(outcome.swapped for outcome in outcomes) <= 2


@given(st.lists(st.floats(0.001, 0.5), min_size=1, max_size=6))
def test_prediction_does_not_depend_on_how_time_is_cut(steps):
    cut, whole = (Motion(np.array([10, 10, 40, 50], np.float32), 0.05, 2.5) for _ in range(2))
    for motion in (cut, whole):
        motion.predict(0.1).correct(np.array([14, 10, 40, 50], np.float32))
        motion.velocity[2:] = 0  # the disturbance grows with the size, which is to stay as it is here
    for step in steps:
        cut.predict(step)
    whole.predict(sum(steps))
    probe = np.array([[60, 10, 40, 50]], np.float32)
    np.testing.assert_allclose(cut.state, whole.state, rtol=1e-9)
    np.testing.assert_allclose(cut.distances(probe)[0], whole.distances(probe)[0], rtol=1e-6)


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(st.floats(0, 600), st.floats(0, 400), st.floats(5, 300)), max_size=5), max_size=12))
def test_any_detections_give_tracks_that_are_among_them_and_differ(frames):
    tracker = Tracker(TrackingOptions())
    for k, found in enumerate(frames):
        detections = [face(*place) for place in found]
        tracks = tracker.update(detections, k / 15)
        assert len(set(ids(tracks))) == len(tracks) <= len(detections)
        assert all(any(track.detection is one for one in detections) for track in tracks)
