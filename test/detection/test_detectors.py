from pathlib import Path

import cv2
import numpy as np
import pytest

from facial_attributes_ros.detection.base import detect_scaled
from facial_attributes_ros.detection.load import load_detector
from facial_attributes_ros.detection.yunet import YuNetDetector
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.boxes import overlaps
from facial_attributes_ros.imaging.crop import crop_face
from facial_attributes_ros.options import CLOSE_UP, DetectorOptions

SHARED_SCRFD = Path(__file__).parents[3] / "shared" / "models" / "scrfd_500m_kps.onnx"


def overlap(box, others):
    """The largest share that a box has in common with one of the others."""
    return overlaps(np.reshape(box, (1, 4)), np.reshape(others, (-1, 4))).max()


def test_yunet_finds_the_six_faces_at_two_scales_in_the_same_places(yunet, six_faces):
    found = []
    for size in (640, 320):
        yunet.options = DetectorOptions(detection_size=size, score_threshold=0.7)
        found.append(yunet.detect(six_faces))
    fine, coarse = found
    assert len(fine) == len(coarse) == 6
    assert all(overlap(face.box, [other.box for other in coarse]) > 0.6 for face in fine)


@pytest.mark.parametrize("width", [500, 848, 1281, 1600, 2600])
def test_the_faces_are_found_in_their_places_whatever_the_size_of_the_picture(yunet, six_faces, width):
    yunet.options = DetectorOptions(score_threshold=0.7)
    expected = [face.box for face in yunet.detect(six_faces)]
    scale = width / six_faces.shape[1]
    found = yunet.detect(cv2.resize(six_faces, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    assert len(found) == 6
    assert all(overlap(face.box / scale, expected) > 0.75 for face in found)


def test_scores_come_best_first_and_landmarks_are_where_a_face_has_them(yunet, astronaut):
    yunet.options = DetectorOptions()
    faces = yunet.detect(astronaut)
    assert [face.score for face in faces] == sorted((face.score for face in faces), reverse=True)
    right_eye, left_eye, nose, right_mouth, left_mouth = faces[0].landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


def test_a_face_that_fills_a_small_picture_is_found_with_a_second_look(yunet, astronaut):
    yunet.options = DetectorOptions()
    face = yunet.detect(astronaut)[0]
    close_up = crop_face(astronaut, face.box, 100, 0.0)
    yunet.options = CLOSE_UP
    (found, *_) = yunet.detect(close_up)
    assert overlap(found.box, (10, 0, 80, 100)) > 0.6


def test_options_count_from_the_next_picture_on(yunet, six_faces):
    yunet.options = DetectorOptions(min_face=600)
    assert yunet.detect(six_faces) == []
    yunet.options = DetectorOptions(score_threshold=0.99)
    assert yunet.detect(six_faces) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (7, 5), (480, 640)])
def test_pictures_without_a_face_give_no_face(yunet, shape):
    yunet.options = DetectorOptions()
    assert yunet.detect(np.full((*shape, 3), 90, np.uint8)) == []


def test_boxes_and_landmarks_are_in_pixels_of_the_full_picture():
    def find(scaled):
        assert scaled.shape[:2] == (240, 320)
        return np.array([[10, 20, 30, 40, *range(10), 0.9]], np.float32)

    (face,) = detect_scaled(np.zeros((960, 1280, 3), np.uint8), DetectorOptions(detection_size=320), find)
    np.testing.assert_allclose(face.box, [40, 80, 120, 160])
    np.testing.assert_allclose(face.landmarks[1], [8, 12])


def test_a_face_that_two_looks_find_is_one():
    """Two faces that fill much of the searched copy: the closer look finds both again, elsewhere by a few pixels."""

    def find(picture):
        scale = picture.shape[1] / 1280
        rows = np.zeros((2, 15), np.float32)
        rows[0, :4], rows[1, :4] = [100, 60, 480, 560], [700, 100, 380, 450]
        rows += 4 * (scale < 1)
        rows *= scale
        rows[:, 14] = [0.9, 0.8]
        return rows

    faces = detect_scaled(np.zeros((720, 1280, 3), np.uint8), DetectorOptions(detection_size=1280), find)
    assert len(faces) == 2
    assert [round(float(face.box[3]), -1) for face in faces] == [560, 450]


def test_the_border_of_the_second_look_is_taken_off_again():
    looks = []

    def find(scaled):
        looks.append(scaled.shape)
        if len(looks) == 1:
            return np.zeros((0, 15), np.float32)
        return np.array([[50, 50, 100, 100, *[60] * 10, 0.9]], np.float32)

    (face,) = detect_scaled(np.zeros((100, 100, 3), np.uint8), DetectorOptions(enlarge_to=200, padding=0.5), find)
    assert looks == [(200, 200, 3), (200, 200, 3)]
    np.testing.assert_allclose(face.box, [0, 0, 100, 100])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("nothing", {}),
        ("yunet", {"speed": 3}),
        ("yunet", {"score_threshold": 2}),
        ("scrfd:/no/such.onnx", {}),
        ("/no/such.onnx", {}),
    ],
)
def test_mistakes_are_sentences(name, options):
    if name != "yunet" and name != "nothing":
        pytest.importorskip("onnxruntime")
    with pytest.raises(UserError):
        load_detector(name, **options)


def test_a_file_that_is_no_detector_is_a_sentence(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"not a network")
    with pytest.raises(UserError, match="YuNet"):
        YuNetDetector(tmp_path / "broken.onnx")


def test_scrfd_finds_the_six_faces_where_yunet_does(yunet, six_faces):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("insightface")
    if not SHARED_SCRFD.is_file():
        pytest.skip("there is no ../shared/models with a SCRFD file")
    yunet.options = DetectorOptions(score_threshold=0.6)
    expected = yunet.detect(six_faces)
    found = load_detector(f"scrfd:{SHARED_SCRFD}", score_threshold=0.6).detect(six_faces)
    assert len(found) == 6
    assert all(overlap(face.box, [other.box for other in expected]) > 0.5 for face in found)
    assert all(face.landmarks[0, 0] < face.landmarks[1, 0] for face in found)


def test_a_small_copy_of_the_frame_is_averaged_not_skipped():
    stripes = np.zeros((640, 640, 3), np.uint8)
    stripes[:, ::2] = 255
    seen = []
    detect_scaled(stripes, DetectorOptions(detection_size=64), lambda scaled: seen.append(scaled) or np.zeros((0, 15)))
    assert cv2.meanStdDev(seen[0])[1].max() < 3


@pytest.mark.parametrize("side", [128, 300, 1000, 2000])
def test_a_face_that_fills_the_picture_has_its_whole_box_at_any_size(yunet, astronaut, side):
    yunet.options = DetectorOptions()
    close_up = crop_face(astronaut, yunet.detect(astronaut)[0].box, side, 0.05)
    yunet.options = DetectorOptions(detection_size=1024, score_threshold=0.6, enlarge_to=192, padding=0.5)
    (face,) = yunet.detect(close_up)
    assert face.box[2:].max() * 1.1 / side == pytest.approx(1, abs=0.15)
