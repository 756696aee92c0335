"""The PyTorch engine when memory runs short, and its own crop."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from facial_attributes_ros.engines import torch as torch_engine
from facial_attributes_ros.engines.device_crop import crop_planes
from facial_attributes_ros.engines.onnx_export import example_crops
from facial_attributes_ros.engines.torch import TorchEngine
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.crop import cut_frame

FRAME = example_crops(1, 160)[0][:120]


@pytest.fixture
def engine(tiny_model: Path) -> TorchEngine:
    return TorchEngine.load(tiny_model)


def with_memory_for(engine: TorchEngine, faces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    run = engine._run

    def limited(planes: torch.Tensor, tasks: tuple[str, ...]) -> tuple[torch.Tensor, ...]:
        if len(planes) > faces:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return run(planes, tasks)

    monkeypatch.setattr(engine, "_run", limited)


def test_a_full_gpu_means_smaller_batches_and_the_same_answers(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    crops = example_crops(7, 32)
    expected = engine.logits(crops)
    with_memory_for(engine, 2, monkeypatch)
    got = engine.logits(crops)
    for task, values in expected.items():
        np.testing.assert_allclose(got[task], values, atol=1e-4)
    assert engine._batches.most == 2
    assert "out of memory; from now on a batch has at most 2 faces" in caplog.text


def test_no_memory_for_one_face_is_told(engine: TorchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    with_memory_for(engine, 0, monkeypatch)
    with pytest.raises(UserError, match="too little free memory for a single face"):
        engine.logits(example_crops(3, 32))


def test_a_full_gpu_while_the_faces_are_cut_out_means_smaller_batches_too(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, boxes = torch.from_numpy(FRAME), np.array([[10, 20, 50, 60]] * 5, np.float32)
    expected = engine.from_frame(frame, boxes)

    def limited(image: torch.Tensor, chosen: np.ndarray, *rest: Any) -> torch.Tensor:
        if len(chosen) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return crop_planes(image, chosen, *rest)

    monkeypatch.setattr(torch_engine, "crop_planes", limited)
    for task, values in engine.from_frame(frame, boxes).items():
        np.testing.assert_allclose(values, expected[task], atol=1e-4)


def heads_that_run(engine: TorchEngine) -> list[str]:
    """Return a list that grows by a task whenever its head runs."""
    ran: list[str] = []
    for task, head in engine._network.model.heads.items():
        head.register_forward_hook(lambda *_, task=task: ran.append(task))
    return ran


@pytest.mark.parametrize("kind", ["tiny_model", "task_specific_model", "years_model"])
def test_neither_head_nor_stream_of_a_task_that_nobody_wants_runs(kind: str, request: pytest.FixtureRequest) -> None:
    engine = TorchEngine.load(request.getfixturevalue(kind))
    crops = example_crops(2, 32)
    expected = engine.logits(crops)
    ran = heads_that_run(engine)
    with FlopCounterMode(display=False) as everything:
        engine.logits(crops)
    with FlopCounterMode(display=False) as one:
        found = engine.logits(crops, ["gender"])
    engine.warm_up((1,), ["age"])
    assert ran == ["age", "gender", "emotion", "gender", "age"]
    np.testing.assert_allclose(found["gender"], expected["gender"], atol=1e-5)
    assert one.get_total_flops() < everything.get_total_flops()


class ReplayedGraph:
    """Stands in for a CUDA graph: records what a function does once, and does only that from then on."""

    recorded: ClassVar[list[int]] = []

    def __init__(self, function: Any, example: torch.Tensor) -> None:
        self.function, self.example = function, example
        self.recorded.append(len(example))

    def __call__(self, planes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.example[: len(planes)].copy_(planes)
        return tuple(output[: len(planes)].clone() for output in self.function(self.example))


@pytest.mark.parametrize(("kind", "graphs"), [("tiny_model", 3), ("task_specific_model", 2)])
def test_graphs_compute_nothing_of_a_task_that_nobody_wants(
    kind: str, graphs: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TorchEngine.load(request.getfixturevalue(kind))
    crops = example_crops(3, 32)
    expected = engine.logits(crops)
    monkeypatch.setattr(torch_engine, "CudaGraph", ReplayedGraph)
    monkeypatch.setattr(ReplayedGraph, "recorded", [])
    engine._graphs = {}
    ran = heads_that_run(engine)
    for tasks in (["gender"], ["age", "gender"], ["gender"], ["age", "gender"]):
        for task, values in engine.logits(crops, tasks).items():
            np.testing.assert_allclose(values, expected[task], atol=1e-5)
    assert "emotion" not in ran
    assert ReplayedGraph.recorded == [4] * graphs
    engine.logits(crops)
    assert "emotion" in ran
    engine._graphs = {}
    engine.warm_up(tasks=["gender"])
    assert {tasks for _, tasks in engine._graphs} in ({(), ("gender",)}, {("gender",)})


def test_graphs_that_cannot_be_recorded_are_done_without(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    crops = example_crops(3, 32)
    expected = engine.logits(crops)
    monkeypatch.setattr(torch_engine, "CudaGraph", refuse)
    engine._graphs = {}
    for task, values in engine.logits(crops).items():
        np.testing.assert_allclose(values, expected[task], atol=1e-5)
    assert "the engine runs without them" in caplog.text


def test_a_frame_that_lies_on_the_device_gives_the_same(engine: TorchEngine) -> None:
    boxes = np.array([[10, 20, 50, 60], [100, 70, 40, 40]], np.float32)
    here = engine.from_frame(FRAME, boxes)
    there = engine.from_frame(torch.from_numpy(FRAME), boxes)
    for task, values in here.items():
        np.testing.assert_allclose(there[task], values, atol=0.2)


coordinates = st.floats(-60, 180, width=32)
sides = st.floats(4, 150, width=32)


@settings(max_examples=60, deadline=None)
@given(
    frames=st.lists(st.tuples(coordinates, coordinates, sides, st.floats(-4, 4)), min_size=1, max_size=4),
    size=st.sampled_from([16, 24]),
)
def test_the_crop_on_the_device_agrees_with_the_crop_on_the_cpu(frames: list[tuple[float, ...]], size: int) -> None:
    ours = np.stack([cut_frame(FRAME, frame, size) for frame in frames])
    theirs = crop_planes(torch.from_numpy(FRAME), frames, size).permute(0, 2, 3, 1).numpy()
    difference = np.abs(ours.astype(np.float32) - theirs)
    assert difference.mean() < 1.0
    # OpenCV places samples in steps of 1/32 pixel on each axis, which shows where the image meets the black border.
    assert difference.max() <= 2 * 255 / 32 + 2


def test_a_box_without_area_is_refused(engine: TorchEngine) -> None:
    with pytest.raises(ValueError, match="an area"):
        engine.from_frame(FRAME, [[10, 10, 0, 5]])
