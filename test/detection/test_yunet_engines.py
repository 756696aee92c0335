"""YuNet finds the same faces in ONNX Runtime as in OpenCV, at any size."""

import sys

import numpy as np
import pytest

from facial_attributes_ros.detection.load import load_detector
from facial_attributes_ros.detection.yunet import YuNetDetector
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.sample_camera import SampleCamera
from facial_attributes_ros.options import DetectorOptions


@pytest.fixture(scope="module")
def both(yunet):
    pytest.importorskip("onnxruntime")
    return YuNetDetector(engine="onnx"), YuNetDetector(engine="opencv")


@pytest.mark.parametrize("size", [640, 333, 160])  # 333 is no multiple of the largest stride
def test_both_engines_find_the_same_faces(both, size):
    pytest.importorskip("skimage")
    camera = SampleCamera()
    seen = 0
    for seconds in (0.0, 8.0, 15.0, 21.0):
        frame = camera.frame(seconds)
        for detector in both:
            detector.options = DetectorOptions(detection_size=size, min_face=0)
        ours, theirs = (detector.detect(frame) for detector in both)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one.box, other.box, atol=0.05)
            np.testing.assert_allclose(one.landmarks, other.landmarks, atol=0.05)
            assert one.score == pytest.approx(other.score, abs=1e-4)
        seen += len(ours)
    assert seen >= 4


def test_the_engine_is_chosen_by_name(yunet):
    assert load_detector("yunet:opencv").engine == "opencv"
    with pytest.raises(UserError, match="no engine 'tflite'"):
        load_detector("yunet:tflite")


def test_without_onnx_runtime_opencv_runs_it(yunet, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert YuNetDetector().engine == "opencv"
    with pytest.raises(UserError, match="needs onnx and onnxruntime"):
        YuNetDetector(engine="onnx")


def test_a_file_that_is_no_yunet_is_told(tmp_path):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "other.onnx"
    path.write_bytes(b"nothing")
    for engine in ("onnx", "opencv"):
        with pytest.raises(UserError, match="YuNet"):
            YuNetDetector(path, engine=engine)
