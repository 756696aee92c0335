"""Curves say where the node stops keeping up; a point that fails keeps the others."""

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.bench import detection, frames
from facial_attributes_ros.bench.graph import EndToEnd
from facial_attributes_ros.bench.load import Point, bench_load, limits, load_points
from facial_attributes_ros.bench.overhead import Excluded
from facial_attributes_ros.bench.process_usage import Memory, slope_after
from facial_attributes_ros.cli import main as cli
from facial_attributes_ros.errors import UserError


def shown(rate: float) -> EndToEnd:
    return EndToEnd(10.0, 300, 1.0, rate, 30.0, 40.0, 50.0, 0.5, [], None, None)


def test_memory_slope_leaves_out_the_first_minute() -> None:
    samples = [Memory(float(t), 500 + (50 - t if t < 50 else 0) + 2 * t / 60, 300.0) for t in range(0, 600, 5)]
    assert slope_after(60, samples, "resident") == pytest.approx(2.0)
    assert slope_after(60, samples, "private") == pytest.approx(0.0, abs=1e-9)
    assert slope_after(60, samples[:20], "resident") is None


def test_an_axis_keeps_up_to_the_last_point_before_the_first_that_does_not() -> None:
    results = [
        (Point("faces", 1, 640, 30), shown(29.9)),
        (Point("faces", 5, 640, 30), shown(29.0)),
        (Point("faces", 10, 640, 30), shown(17.0)),
        (Point("faces", 20, 640, 30), shown(30.0)),
        (Point("rate", 1, 640, 60), shown(31.0)),
        (Point("width", 1, 320, 30), shown(30.0)),
        (Point("width", 1, 640, 30), "Nothing was published."),
    ]
    assert limits(results) == {"faces": 5, "rate": None, "width": 320}


def test_a_point_that_fails_does_not_lose_the_others() -> None:
    pytest.importorskip("skimage")

    def measure(frame: np.ndarray, rate: float, seconds: float, progress: Any) -> EndToEnd:
        if frame.shape[1] == 640:
            raise UserError("Nothing was published.")
        return shown(rate)

    points = [Point("width", 1, width, 30) for width in (320, 640, 960)]
    graph: Any = SimpleNamespace(measure=measure)
    results = list(bench_load(graph, points, 1.0))
    assert [isinstance(result, str) for _, result in results] == [False, True, False]


def test_every_axis_changes_one_thing() -> None:
    for point in load_points():
        rest = {"faces": 1, "width": 640, "rate": 30}
        rest.pop(point.axis)
        assert all(getattr(point, name) == value for name, value in rest.items())


def test_scenes_hold_every_portrait_at_the_size_they_say() -> None:
    portraits = [
        frames.Portrait(np.full((100, 80, 3), shade, np.uint8), np.array([20, 30, 40, 50], np.float32))
        for shade in range(100, 190, 3)
    ]
    found = list(frames.scenes(portraits, (16, 192)))
    for side in (16, 192):
        boxes = [(scene, box) for scene in found if scene.side == side for box in scene.boxes]
        assert len(boxes) == len(portraits)
        for scene, (x, y, width, height) in boxes:
            assert max(width, height) == pytest.approx(side)
            assert scene.frame[round(y + height / 2), round(x + width / 2)].max() >= 99
    assert len([scene for scene in found if scene.side == 192]) > 1


def test_recall_counts_found_faces_and_failures_are_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    class Halves:
        """Finds faces in the left half only, and one where there is none."""

        def detect(self, image: np.ndarray) -> list[Detection]:
            return [Detection(np.array([10, 10, 40, 40], np.float32), 0.9), Detection(np.ones(4, np.float32), 0.9)]

    def load(name: str, **_: Any) -> Any:
        if name == "broken":
            raise UserError("no such file.")
        return Halves()

    monkeypatch.setattr(detection, "load_detector", load)
    frame = np.zeros((960, 1280, 3), np.uint8)
    boxes = np.array([[10, 10, 40, 40], [800, 10, 40, 40]], np.float32)
    rows = list(detection.bench_detection(["here", "broken"], [frames.Scene(40, frame, boxes)], (320,), 0.0))
    assert [row.note for row in rows] == ["", "no such file."]
    assert rows[0].recall == {40: 0.5}
    assert rows[0].false_positives == 1
    assert rows[0].smallest_face is None


@pytest.mark.parametrize(
    ("recall", "smallest"), [({12: 0.1, 16: 0.96, 20: 0.94, 24: 1.0, 32: 0.99}, 24), ({12: 1.0}, 12), ({12: 0.5}, None)]
)
def test_the_smallest_face_is_where_recall_stays(recall: dict[int, float], smallest: int | None) -> None:
    assert detection.smallest_face(recall) == smallest


def test_only_what_is_named_is_left_out() -> None:
    class Slow:
        device = "cpu"

        def logits(self, crops: Any) -> str:
            time.sleep(0.02)
            return "logits"

        def from_frame(self, image: Any) -> str:
            return self.logits(image)

        def detect(self, image: Any) -> str:
            time.sleep(0.03)
            return "faces"

    slow: Any = Slow()
    excluded: Any = Excluded(slow, slow)
    assert excluded.engine.from_frame(None) == "logits"
    assert excluded.detector.detect(None) == "faces"
    assert excluded.seconds >= 0.05
    excluded.seconds = 0.0
    slow.from_frame(None)  # the ones given are as they were
    assert excluded.seconds == 0.0


def test_the_command_keeps_report_table_and_plot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    portrait = frames.Portrait(np.full((100, 80, 3), 120, np.uint8), np.array([20, 30, 40, 50], np.float32))
    monkeypatch.setattr(frames, "sample_portraits", lambda: [portrait])
    found = [
        detection.Finding("yunet:onnx", 320, 9.5, {12: 0.0, 96: 1.0}, 0.25, 96),
        detection.Finding("scrfd:none.onnx", 320, note="There is no detector file."),
    ]
    monkeypatch.setattr(detection, "bench_detection", lambda *_: iter(found))
    assert cli.main(["bench", "--detection", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[2].split() == ["yunet:onnx", "320", "9.5", "0.25", "96", "px", "0", "100"]
    assert out[3].endswith("There is no detector file.")
    assert json.loads((tmp_path / "detection.json").read_text())["rows"][0]["recall"] == {"12": 0.0, "96": 1.0}
    assert (tmp_path / "detection.csv").read_text().startswith("detector,size,milliseconds")
    assert (tmp_path / "detection.png").stat().st_size > 5000
