import json
import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from facial_attributes_ros.attributes import AGE, LABELS, age_group_of
from facial_attributes_ros.cli.main import main
from facial_attributes_ros.detection.yunet import YuNetDetector
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.sample_camera import SampleCamera
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.spec import ModelSpec

SPEC = ModelSpec("fake", BackboneReference("none"), image_size=112, mean=(0.5,) * 3, std=(0.5,) * 3)
FACE_KEYS = [
    "id",
    "box",
    "detection_confidence",
    "landmarks",
    "age",
    "age_stddev",
    "age_group",
    "age_group_probabilities",
    "gender",
    "gender_probabilities",
    "emotion",
    "emotion_probabilities",
    "observations",
]


class FakeEngine:
    spec = SPEC

    def from_frame(self, image, boxes, tasks=None, landmarks=None):
        return {task: np.tile(np.arange(len(LABELS[task]), dtype=np.float32), (len(boxes), 1)) for task in tasks}


@pytest.fixture(autouse=True)
def _fake_engine(monkeypatch):
    try:
        YuNetDetector()
    except UserError as error:
        pytest.skip(f"the YuNet file cannot be had: {error}")
    monkeypatch.setattr("facial_attributes_ros.engines.load.load_engine", lambda *_: FakeEngine())
    monkeypatch.setattr("facial_attributes_ros.cli.main.SUBCOMMANDS", ("predict",))


@pytest.fixture(scope="module")
def six_faces():
    found = find_spec("insightface")
    if found is None:
        pytest.skip("insightface is not installed")
    return Path(found.submodule_search_locations[0]) / "data" / "images" / "t1.jpg"


def predict(capsys, *arguments):
    code = main(["predict", *map(str, arguments)])
    output = capsys.readouterr()
    return code, [json.loads(line) for line in output.out.splitlines()], output.err


def test_six_faces_in_exactly_the_documented_form(capsys, six_faces):
    code, (line,), _ = predict(capsys, six_faces)
    assert code == 0
    assert list(line) == ["path", "width", "height", "faces", "model", "model_version", "model_hash"]
    assert (line["path"], line["width"], line["height"], line["model"]) == (str(six_faces), 1280, 886, "fake")
    assert len(line["faces"]) == 6
    for face in line["faces"]:
        assert list(face) == FACE_KEYS
        assert len(face["box"]) == 4
        for task, name in (("age", "age_group"), ("gender", "gender"), ("emotion", "emotion")):
            assert list(face[f"{name}_probabilities"]) == list(LABELS[task])
            assert sum(face[f"{name}_probabilities"].values()) == pytest.approx(1, abs=1e-4)
            # The group of the age is not the most probable one here.
            assert face[name] == (LABELS[AGE][age_group_of(face["age"])] if task == AGE else LABELS[task][-1])


def test_unknown_is_null(capsys, monkeypatch, six_faces):
    sure, plain = {"gender": 0.9}, {"gender": 1.0}
    spec = replace(SPEC, tasks=("gender",), thresholds=sure, temperatures=plain)
    monkeypatch.setattr(FakeEngine, "spec", spec)
    _, (line,), _ = predict(capsys, six_faces)
    face = line["faces"][0]
    assert face["age"] is face["age_stddev"] is face["age_group"] is face["gender"] is face["emotion"] is None
    assert face["gender_probabilities"]["female"] == pytest.approx(0.731, abs=1e-3)


def test_a_bad_picture_is_an_error_line_and_the_rest_goes_on(capsys, tmp_path, six_faces):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.jpg").write_bytes(six_faces.read_bytes())
    (tmp_path / "notes.txt").write_text("not asked for")
    code, lines, _ = predict(capsys, tmp_path)
    assert code == 0
    assert next(sorted(line) for line in lines) == ["error", "path"]
    assert len(lines) == 2
    assert len(lines[1]["faces"]) == 6


def test_nothing_but_bad_pictures_is_a_failure(capsys, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    code, lines, _ = predict(capsys, tmp_path / "a.jpg")
    assert code == 1
    assert "empty" in lines[0]["error"]


def test_mistakes_end_with_a_sentence_and_code_2(capsys, tmp_path, six_faces):
    for arguments in (
        ["/no/such/file.jpg"],
        [tmp_path],
        [six_faces, "--detector", "eyes"],
        [six_faces, "--annotate", six_faces.parent],
        [six_faces, "--out", tmp_path / "no" / "such.jsonl"],
    ):
        code, lines, error = predict(capsys, *arguments)
        assert (code, lines) == (2, [])
        assert error.startswith("facial-attributes: ")
        assert error.count("\n") == 1


def test_a_picture_without_faces_has_an_empty_list(capsys, tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((50, 60, 3), 99, np.uint8))
    code, (line,), _ = predict(capsys, tmp_path / "grey.png")
    assert (code, line["faces"], line["width"], line["height"]) == (0, [], 60, 50)


def test_copies_are_written_only_on_request_and_keep_their_places(capsys, tmp_path, six_faces):
    inside, outside = tmp_path / "in", tmp_path / "out"
    for name in ("one", "two"):
        (inside / name).mkdir(parents=True)
        (inside / name / "p.jpg").write_bytes(six_faces.read_bytes())
    before = sorted(tmp_path.rglob("*"))
    predict(capsys, inside)
    assert sorted(tmp_path.rglob("*")) == before
    predict(capsys, inside, "--annotate", outside)
    for name in ("one", "two"):
        copy = cv2.imread(str(outside / name / "p.jpg"))
        assert copy.shape == (886, 1280, 3)
    copies = outside / "flat"
    predict(capsys, inside / "one" / "p.jpg", inside / "two" / "p.jpg", "--annotate", copies)
    assert sorted(copy.name for copy in copies.iterdir()) == ["p-2.jpg", "p.jpg"]


def test_lines_go_to_a_file_if_asked(capsys, tmp_path, six_faces):
    code, lines, _ = predict(capsys, six_faces, "--out", tmp_path / "lines.jsonl")
    assert (code, lines) == (0, [])
    assert len(json.loads((tmp_path / "lines.jsonl").read_text())["faces"]) == 6


def test_a_video_gives_a_line_a_frame_with_tracks(capsys, tmp_path, six_faces):
    assert six_faces.is_file()
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15.0, (640, 480))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no MJPG video")
    camera = SampleCamera()
    for k in range(6):
        writer.write(camera.frame(k / 15))
    writer.release()
    code, lines, _ = predict(capsys, path, "--annotate", tmp_path / "out")
    assert code == 0
    assert len(lines) == 6
    assert [line["stamp"] for line in lines] == pytest.approx([k / 15 for k in range(6)], abs=0.01)
    assert {face["id"] for face in lines[-1]["faces"]} == {face["id"] for face in lines[2]["faces"]}
    assert (tmp_path / "out" / "clip.mp4").stat().st_size > 0


def test_only_the_tasks_asked_for_are_estimated(capsys, monkeypatch, tmp_path):
    asked = []

    class Engine(FakeEngine):
        def from_frame(self, image, boxes, tasks=None, landmarks=None):
            asked.append(tuple(tasks))
            return super().from_frame(image, boxes, tasks)

    monkeypatch.setattr("facial_attributes_ros.engines.load.load_engine", lambda *_: Engine())
    cv2.imwrite(str(tmp_path / "face.png"), SampleCamera().frame(0.0))
    code, (line,), _ = predict(capsys, tmp_path / "face.png", "--tasks", "gender,age")
    assert code == 0
    assert line["faces"]
    assert asked == [("age", "gender")]
    for face in line["faces"]:
        assert face["gender"] is not None
        assert face["emotion"] is None
        assert len(set(face["emotion_probabilities"].values())) == 1
    code, lines, error = predict(capsys, tmp_path / "face.png", "--tasks", "gender,height")
    assert (code, lines) == (2, [])
    assert "has no task height" in error


ODD = os.fsdecode(b"caf\xe9")


def test_names_that_are_not_utf8_are_done_like_all_others(capsys, tmp_path):
    grey = bytes(cv2.imencode(".png", np.full((50, 60, 3), 99, np.uint8))[1])
    for name in ("a", ODD, "z\n"):
        (tmp_path / f"{name}.png").write_bytes(grey)
    code, lines, error = predict(capsys, tmp_path, "--annotate", tmp_path / "out")
    assert (code, error) == (0, "")
    assert {Path(line["path"]).stem for line in lines} == {"a", ODD, "z\n"}
    assert (tmp_path / "out" / f"{ODD}.png").exists()
    predict(capsys, tmp_path / f"{ODD}.png", "--out", tmp_path / "lines.jsonl")
    assert json.loads((tmp_path / "lines.jsonl").read_text("utf-8"))["path"] == str(tmp_path / f"{ODD}.png")


def test_a_video_of_a_name_that_is_not_utf8(capsys, tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15.0, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no MJPG video")
    for _ in range(3):
        writer.write(np.full((48, 64, 3), 99, np.uint8))
    writer.release()
    (tmp_path / ODD).mkdir()
    path = path.rename(tmp_path / ODD / f"{ODD}.avi")
    code, lines, _ = predict(capsys, path, "--annotate", tmp_path / "out")
    assert (code, len(lines)) == (0, 3)
    assert (tmp_path / "out" / f"{ODD}.mp4").stat().st_size > 0


def test_an_error_shows_no_control_characters(capsys, tmp_path):
    code, _, error = predict(capsys, tmp_path / f"\x1b[31m\n{ODD}.png")
    assert code == 2
    assert "\\x1b[31m\\ncaf\\xe9.png" in error
    assert error.count("\n") == 1


def test_a_copy_that_its_format_cannot_hold_is_a_png(capsys, tmp_path):
    cv2.imwrite(str(tmp_path / "a.pgm"), np.full((50, 60), 99, np.uint8))
    code, _, _ = predict(capsys, tmp_path, "--annotate", tmp_path / "out")
    assert code == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_a_copy_that_cannot_be_written_ends_nothing_but_shows_in_the_code(capsys, caplog, tmp_path):
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((50, 60, 3), 99, np.uint8))
    (tmp_path / "out" / "a.png").mkdir(parents=True)  # in the way of the copy
    code, lines, _ = predict(capsys, tmp_path, "--annotate", tmp_path / "out")
    assert (code, len(lines)) == (1, 2)
    assert "a.png is not written" in caplog.text
    assert (tmp_path / "out" / "b.png").is_file()


def test_a_picture_beyond_the_limit_is_an_error_line(capsys, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((50, 60, 3), 99, np.uint8))
    code, (line,), _ = predict(capsys, tmp_path / "a.png", "--max-pixels", "2999")
    assert code == 1
    assert "60x50 pixels, and the limit" in line["error"]


def test_a_full_disk_is_a_sentence(capsys, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((50, 60, 3), 99, np.uint8))
    code, _, error = predict(capsys, tmp_path / "a.png", "--out", "/dev/full")
    assert code == 2
    assert "no space left" in error
