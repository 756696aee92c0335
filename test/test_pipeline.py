import json
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, TASKS, UNKNOWN, Detection
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.crop import crop_face
from facial_attributes_ros.imaging.sample_camera import SampleCamera
from facial_attributes_ros.imaging.view_quality import LEAST, frontality, view_quality
from facial_attributes_ros.models.resting_face import RestingFaceFacts
from facial_attributes_ros.options import DetectorOptions, PipelineOptions, SchedulingOptions
from facial_attributes_ros.pipeline import EstimateError, FaceView, FramePipeline

FRAME = np.full((480, 640, 3), 128, np.uint8)


class FakeDetector:
    """Finds a given number of faces, side by side."""

    options = None

    def __init__(self, count):
        self.count = count
        self.calls = 0

    def detect(self, image, options=None):
        self.calls += 1
        places = [(20 + 60 * (k % 10), 20 + 80 * (k // 10)) for k in range(self.count)]
        return [Detection(np.array([x, y, 40, 50], np.float32), 0.9) for x, y in places]


def play(pipeline, seconds, rate=15, start=0.0, tasks=None):
    results = [pipeline.process(FRAME, start + k / rate, tasks) for k in range(int(seconds * rate))]
    return results[-1].faces


def test_real_frames_give_six_stable_faces_with_distributions(yunet, fake_engine, six_faces):
    camera, pipeline = SampleCamera(), FramePipeline(yunet, fake_engine)
    ids = [{face.id for face in pipeline.process(camera.frame(k / 15), k / 15).faces} for k in range(30)]
    assert ids[0] == set()
    assert len(ids[-1]) == 6
    assert all(ids[k] == ids[-1] for k in range(5, 30))
    for face in pipeline.process(camera.frame(2), 2).faces:
        for distribution in (face.age_group, face.gender, face.emotion):
            assert distribution.probabilities.sum() == pytest.approx(1, abs=1e-5)
            assert distribution.probabilities.dtype == np.float32


def test_to_forget_everyone_forgets_their_resting_faces(fake_engine):
    means = tuple(map(tuple, 3 * (np.eye(7) - 1 / 7)))
    facts = RestingFaceFacts(means, variance=2.0, intraclass_correlation=0.4, coupling=0.5)
    fake_engine.spec = replace(fake_engine.spec, resting_face=facts)
    pipeline = FramePipeline(FakeDetector(1), fake_engine)
    (face,) = play(pipeline, 3)
    assert pipeline.beliefs.resting_face_known(face.id) > 0
    pipeline.reset()
    assert pipeline.beliefs.ids == []
    assert pipeline.beliefs.resting_face_known(face.id) == 0
    assert pipeline.still(FRAME)[0].emotion.probabilities.argmax() == 6, "single images have no resting face"


def test_no_faces_no_work(fake_engine):
    assert play(FramePipeline(FakeDetector(0), fake_engine), 1) == []
    assert fake_engine.calls == []


def test_a_task_that_is_off_or_unwanted_costs_nothing_and_is_unknown(fake_engine):
    pipeline = FramePipeline(FakeDetector(1), fake_engine, PipelineOptions(tasks=(AGE, GENDER)))
    (face,) = play(pipeline, 1, tasks=(AGE, EMOTION))
    assert {tasks for _, tasks in fake_engine.calls} == {(AGE,)}
    assert not np.isnan(face.age)
    assert face.gender.index == face.emotion.index == UNKNOWN


def test_nobody_listening_means_no_model_at_all_while_tracks_go_on(fake_engine):
    (face,) = play(FramePipeline(FakeDetector(1), fake_engine), 1, tasks=())
    assert fake_engine.calls == []
    assert face.observations == 0
    assert np.isnan(face.age)


def test_slow_tasks_alone_are_estimated_at_their_own_rate(fake_engine):
    pipeline = FramePipeline(FakeDetector(1), fake_engine)
    play(pipeline, 5, tasks=(AGE,))
    assert 8 <= len(fake_engine.calls) <= 12


@pytest.mark.parametrize("rate", [10, 12, 15, 24, 25, 30, 50])
@pytest.mark.parametrize(("task", "wanted"), [(EMOTION, 10), (AGE, 2)])
def test_rates_hold_on_average_at_any_frame_rate(fake_engine, rate, task, wanted):
    pipeline, jitter = FramePipeline(FakeDetector(1), fake_engine), np.random.default_rng(0)
    for k in range(20 * rate):
        pipeline.process(FRAME, 1 + (k + jitter.uniform(-0.1, 0.1)) / rate, (task,))
    assert len(fake_engine.calls) / 20 == pytest.approx(wanted, rel=0.05)


def test_a_higher_rate_counts_at_once(fake_engine):
    pipeline = FramePipeline(FakeDetector(1), fake_engine)
    pipeline.options = PipelineOptions(scheduling=SchedulingOptions(emotion_rate=0.1))
    play(pipeline, 1, tasks=(EMOTION,))
    before = len(fake_engine.calls)
    pipeline.options = PipelineOptions()
    play(pipeline, 1, start=1.0, tasks=(EMOTION,))
    assert len(fake_engine.calls) - before >= 9


def test_thirty_faces_share_the_budget_and_none_grows_old(make_engine):
    class Slow(make_engine):
        def from_frame(self, image, boxes, tasks=None, landmarks=None):
            time.sleep(0.002 * len(boxes))
            return super().from_frame(image, boxes, tasks)

    options = PipelineOptions(scheduling=SchedulingOptions(budget=0.006))
    engine = Slow()
    pipeline = FramePipeline(FakeDetector(30), engine, options)
    for k in range(15 * 6):
        faces = pipeline.process(FRAME, k / 15).faces
    assert len(faces) == 30
    assert max(count for count, _ in engine.calls) <= 4
    assert min(face.updated for face in faces) > 89 / 15 - 3.5


def test_detection_on_every_third_frame_keeps_the_faces(fake_engine):
    detector = FakeDetector(2)
    pipeline = FramePipeline(detector, fake_engine, PipelineOptions(detect_every=3))
    results = [pipeline.process(FRAME, k / 15).faces for k in range(30)]
    assert detector.calls == 10
    assert all(len(faces) == 2 for faces in results[6:])


def test_a_recording_that_starts_again_has_new_ids_and_new_beliefs(fake_engine):
    pipeline = FramePipeline(FakeDetector(1), fake_engine)
    (before,) = play(pipeline, 2, start=100)
    (after,) = play(pipeline, 0.3, start=0)
    assert before.id != after.id
    assert after.observations < before.observations


def test_new_options_count_at_once_and_tracks_live_on(fake_engine):
    pipeline = FramePipeline(FakeDetector(1), fake_engine)
    (before,) = play(pipeline, 1)
    pipeline.options = PipelineOptions(tasks=(GENDER,))
    (after,) = play(pipeline, 1, start=1.0)
    assert after.id == before.id
    assert after.age_group.index == UNKNOWN
    assert after.gender.label is not None


def test_stills_have_the_models_own_distributions(yunet, fake_engine, six_faces):
    faces = FramePipeline(yunet, fake_engine).still(six_faces)
    assert [face.id for face in faces] == [f"face{k}" for k in range(1, 7)]
    expected = np.exp(np.arange(7)) / np.exp(np.arange(7)).sum()
    np.testing.assert_allclose(faces[0].emotion.probabilities, expected, rtol=1e-4)


def test_timings_name_every_stage(fake_engine):
    timings = FramePipeline(FakeDetector(1), fake_engine).process(FRAME, 0.0).timings
    assert set(timings) == {"detection", "tracking", "quality", "model", "fusion"}


def test_quality_falls_with_size_blur_and_averted_pose(yunet, astronaut):
    yunet.options = type(yunet.options)()
    face = yunet.detect(astronaut)[0]
    import cv2

    good = view_quality(astronaut, face, 112)
    assert good > 0.6
    assert view_quality(cv2.GaussianBlur(astronaut, (0, 0), 6), face, 112) < good / 2
    assert view_quality(astronaut, face, 600) < good
    averted = face.landmarks.copy()
    averted[2] = averted[1]
    assert frontality(averted) < 0.5 < frontality(face.landmarks)
    assert frontality(np.full((5, 2), np.nan, np.float32)) == 1
    assert view_quality(FRAME, face, 112) == LEAST


def test_tasks_are_asked_for_in_one_order(fake_engine):
    play(FramePipeline(FakeDetector(1), fake_engine), 0.5, tasks={EMOTION, GENDER, AGE})
    assert {tasks for _, tasks in fake_engine.calls} == {TASKS}


@pytest.mark.parametrize("size", [(240, 320), (960, 1280), (640, 480), (480, 640)])
def test_nobody_gets_the_id_or_the_attributes_of_another_when_the_resolution_changes(make_engine, size):
    """Two people of whom the near one is, in half as many pixels, just where the far one was."""

    class Two(FakeDetector):
        def detect(self, image, options=None):
            scale = image.shape[1] / 640
            boxes = np.array([[350, 270, 100, 100], [175, 135, 50, 50]], np.float32) * scale
            return [Detection(box, 0.9) for box in boxes]

    pipeline = FramePipeline(Two(2), make_engine())
    before = {face.id: face.observations for face in play(pipeline, 2)}
    changed = np.full((*size, 3), 128, np.uint8)
    after = [pipeline.process(changed, 2 + k / 15).faces for k in range(5)]
    assert len(before) == len(after[-1]) == 2
    if size == FRAME.shape[:2]:
        assert {face.id for face in after[-1]} == set(before)
    else:
        assert not {face.id for faces in after for face in faces} & set(before)
        assert after[0] == []


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("task", [AGE, GENDER, EMOTION])
def test_a_number_that_is_not_finite_in_one_task_is_no_observation_of_that_face(make_engine, task, broken):
    engine = make_engine()
    pipeline = FramePipeline(FakeDetector(2), engine)
    good = play(pipeline, 1)
    whole = engine.from_frame

    def damaged(image, boxes, tasks, landmarks):
        logits = whole(image, boxes, tasks, landmarks)
        logits[task][np.asarray(boxes)[:, 0] < 50, -1] = broken  # the first face, wherever it is in the batch
        return logits

    engine.from_frame = damaged
    seen = [_failed(pipeline, 1 + k / 15) for k in range(30)]
    assert any("not finite" in str(error) for error, _ in seen)
    first, second = seen[-1][1]
    assert (first.observations, first.updated) == (good[0].observations, good[0].updated)
    assert second.observations > good[1].observations
    for face in (first, second):
        assert np.isfinite(face.gender.probabilities).all()
    with pytest.raises(UserError, match="not finite"):
        pipeline.still(FRAME)


def test_a_model_that_fails_takes_neither_faces_nor_ids_with_it_and_recovers(make_engine):
    engine = make_engine()
    pipeline = FramePipeline(FakeDetector(2), engine)
    before = play(pipeline, 1)
    works = engine.from_frame

    def fails(*_):
        raise RuntimeError("out of memory")

    engine.from_frame = fails
    seen = [_failed(pipeline, 1 + k / 15) for k in range(15)]
    raised = [error for error, _ in seen if error]
    assert raised
    assert all("out of memory" in str(error) for error in raised)
    for error, faces in seen[seen.index((raised[0], raised[0].result.faces)) :]:
        assert [face.id for face in faces] == [face.id for face in before]
        assert {face.gender.index for face in faces} == {UNKNOWN}, error
        assert all(np.isnan(face.age) for face in faces)
    engine.from_frame = works
    after = play(pipeline, 1, start=2.0)
    assert all(face.gender.index != UNKNOWN for face in after)
    assert all(new.observations > old.observations for new, old in zip(after, before, strict=True))


def _failed(pipeline, stamp):
    try:
        return None, pipeline.process(FRAME, stamp).faces
    except EstimateError as error:
        return error, error.result.faces


def test_who_is_hidden_for_a_moment_is_tracked_all_the_same(fake_engine):
    detector = FakeDetector(1)
    pipeline = FramePipeline(detector, fake_engine)
    (face,) = play(pipeline, 1)
    detector.count = 0
    hidden = pipeline.process(FRAME, 1.1)
    assert not hidden.faces
    assert hidden.tracked == {face.id}
    assert not pipeline.process(FRAME, 9.0).tracked


def test_the_json_form_of_a_frame_has_its_time_size_and_model(fake_engine):
    pipeline = FramePipeline(FakeDetector(2), fake_engine)
    play(pipeline, 1)
    found = json.loads(json.dumps(pipeline.process(FRAME, 1.5).to_dict(), allow_nan=False))
    assert {key: value for key, value in found.items() if key != "faces"} == {
        "stamp": 1.5,
        "width": 640,
        "height": 480,
        "model": fake_engine.spec.name,
    }
    assert [face["gender"] for face in found["faces"]] == ["female", "female"]


def test_a_still_image_is_searched_finely_whatever_the_stream_is_searched_like(yunet, fake_engine, six_faces):
    yunet.options = DetectorOptions(min_face=600)
    assert len(FramePipeline(yunet, fake_engine).still(six_faces)) == 6
    assert FramePipeline(yunet, fake_engine).still(six_faces, search=yunet.options) == []


class NoDetector:
    """Finds nothing: faces are taken as they come."""

    options = None

    def detect(self, _image, _options=None):
        return []


def views(*names, size=128):
    return [FaceView(name, np.full((size, size, 3), 90, np.uint8)) for name in names]


def test_faces_of_another_tracker_keep_its_ids_and_are_estimated_by_schedule(fake_engine):
    pipeline = FramePipeline(NoDetector(), fake_engine)
    for k in range(30):
        result = pipeline.follow(views("b", "a"), {"a", "b", "hidden"}, k / 15)
    assert [face.id for face in result.faces] == ["b", "a"]
    assert result.tracked == {"a", "b", "hidden"}
    assert all(not np.isnan(face.age) for face in result.faces)
    assert 2 < result.faces[0].observations < 30, "at the rate of the schedule, not in every frame"
    assert set(pipeline.beliefs.ids) == {"a", "b"}
    pipeline.follow(views("a"), {"a"}, 2.0)
    assert pipeline.beliefs.ids == ["a"]
    pipeline.follow(views("a"), {"a"}, 1.0)
    assert pipeline.beliefs.observations.tolist() == [1], "a recording that starts again makes all faces new"


def test_no_faces_of_another_tracker_are_no_work(fake_engine):
    result = FramePipeline(NoDetector(), fake_engine).follow([], (), 0.0)
    assert (result.faces, fake_engine.calls) == ([], [])


def test_the_detector_finds_the_landmarks_in_crops_as_in_the_frame(yunet, make_engine):
    class Recording(make_engine):
        def from_frame(self, image, boxes, tasks=None, landmarks=None):
            self.asked = image, boxes, landmarks
            return super().from_frame(image, boxes, tasks)

    frame, engine = SampleCamera().frame(0), Recording()
    face = yunet.detect(frame, DetectorOptions())[0]
    crop = crop_face(frame, face.box, 128, 0.0)
    FramePipeline(yunet, engine).follow([FaceView("f", crop)], {"f"}, 0.0)
    image, (box,), (landmarks,) = engine.asked
    assert image.shape == (256, 256, 3)
    scale = 128 / max(face.box[2:])
    in_crop = (face.landmarks - (face.box[:2] + face.box[2:] / 2)) * scale + 128
    assert np.abs(landmarks - in_crop).max() < 8, "pixels of the crop"
    assert np.abs(box[2:] / scale - face.box[2:]).max() < 0.15 * max(face.box[2:])


def test_another_model_is_used_from_the_next_frame_on_and_tracks_live_on(fake_engine):
    pipeline = FramePipeline(FakeDetector(1), fake_engine)
    (before,) = play(pipeline, 1)
    other = replace(fake_engine.spec, name="other")
    pipeline.use(SimpleNamespace(spec=other, from_frame=fake_engine.from_frame))
    result = pipeline.process(FRAME, 1.0)
    (after,) = result.faces
    assert (after.id, result.model) == (before.id, "other")
    assert after.observations == 1 < before.observations
