"""The measurements measure what they claim, and the frame that they use has the faces that it should."""

import json
from pathlib import Path

import pytest

from facial_attributes_ros.bench.backbone import bare_backbone
from facial_attributes_ros.bench.frames import frame_with_faces
from facial_attributes_ros.bench.stages import bench_stages, estimate_to_backbone
from facial_attributes_ros.bench.timing import Timing, time_in_turns
from facial_attributes_ros.detection.load import load_detector
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.errors import UserError


@pytest.mark.parametrize("count", [1, 4, 10])
def test_the_measured_frame_has_the_faces_it_should(count: int) -> None:
    pytest.importorskip("skimage")
    frame = frame_with_faces(count)
    assert frame.shape == (480, 640, 3)
    assert len(load_detector("yunet").detect(frame)) == count


def test_functions_are_timed_in_turns() -> None:
    calls: list[str] = []
    timings = time_in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, faces=3, seconds=0)
    assert calls == ["a", "b"] * 6  # one round to warm up, then the least number of measurements
    assert [(timing.stage, timing.faces, timing.runs) for timing in timings] == [("a", 3, 5), ("b", 3, 5)]
    assert all(0 <= timing.minimum <= timing.median <= timing.p90 for timing in timings)


def test_an_estimate_is_compared_with_the_bare_backbone() -> None:
    timings = [
        Timing(stage, faces, ms, ms, ms, 5)
        for faces, model, bare in ((1, 12.0, 10.0), (8, 66.0, 60.0))
        for stage, ms in (("estimate", model), ("backbone", bare), ("detection", 1.0))
    ]
    assert estimate_to_backbone(timings) == {1: pytest.approx(1.2), 8: pytest.approx(1.1)}


@pytest.mark.parametrize("name", ["torch", "onnx", "onnx-int8"])
def test_the_bare_backbone_runs_in_every_engine(tiny_model: Path, name: str) -> None:
    engine = load_engine(tiny_model, device="cpu", engine=name)
    features = bare_backbone(tiny_model, engine)(3)
    assert (features[0] if isinstance(features, list) else features).shape == (3, 192)


def test_the_command_prints_every_stage_as_json(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("skimage")
    from facial_attributes_ros.cli.main import main

    arguments = ["--model", str(tiny_model), "--device", "cpu", "--faces", "1,2", "--seconds", "0.1", "--json"]
    assert main(["bench", *arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    stages = ["detection", "crop", "model", "estimate", "backbone", "pipeline"]
    assert [(timing["stage"], timing["faces"]) for timing in report["timings"]] == [
        (stage, faces) for faces in (1, 2) for stage in stages
    ]
    assert set(report["estimate_per_backbone"]) == {"1", "2"}


def test_in_pytorch_a_frame_in_the_memory_of_the_device_is_timed_too(tiny_model: Path) -> None:
    pytest.importorskip("skimage")
    engine = load_engine(tiny_model, device="cpu", engine="torch")
    timings = bench_stages(engine, load_detector(), bare_backbone(tiny_model, engine), [2], 0.1)
    assert "resident" in {timing.stage for timing in timings}


def test_a_live_graph_without_ros_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from facial_attributes_ros.bench.graph import live_graph

    monkeypatch.setitem(sys.modules, "facial_attributes_ros.bench.arrivals", None)
    with pytest.raises(UserError, match="need ROS 2 and this package's messages"), live_graph("small"):
        pass
