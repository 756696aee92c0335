"""Batches shrink when memory runs out, whoever says so, and nothing else is taken for that."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.engines.batches import FittingBatches
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.engines.onnx_export import example_crops
from facial_attributes_ros.errors import UserError

SIZES = (1, 2, 4, 8)


@given(count=st.integers(0, 40), memory=st.integers(1, 12))
def test_every_face_is_done_once_and_in_order_whatever_fits(count: int, memory: int) -> None:
    def work(part: slice) -> list[int]:
        faces = list(range(count))[part]
        if len(faces) > memory:
            raise MemoryError
        return faces

    batches = FittingBatches(SIZES, "cuda:0")
    assert [face for part in batches.run(count, work) for face in part] == list(range(count))
    assert batches.most <= SIZES[-1]


def test_a_smaller_batch_stays_and_is_told_to_whoever_frees() -> None:
    freed: list[int] = []
    asked: list[int] = []
    batches = FittingBatches(SIZES, "cuda:0", freed.append)

    def work(part: slice) -> None:
        asked.append(part.stop - part.start)
        if asked[-1] > 2:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 9")

    batches.run(8, work)
    batches.run(4, work)
    assert asked == [8, 4, 2, 2, 2, 2, 2, 2]
    assert freed == [4, 2]


def test_other_errors_pass() -> None:
    def work(_: slice) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        FittingBatches(SIZES, "cpu").run(3, work)


def test_onnx_runtime_goes_on_with_smaller_batches(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    engine: Any = load_engine(tiny_model, "cpu", "onnx")
    crops = example_crops(7, 32)
    expected = engine.logits(crops)
    network = engine._network

    class Small:
        most = 2

        def run(self, part: Any, wanted: Any) -> Any:
            if len(part) > self.most:
                raise ValueError("[ONNXRuntimeError] : 6 : BFCArena: Failed to allocate memory for requested buffer")
            return network.run(part, wanted)

    monkeypatch.setattr(engine, "_network", Small())
    for task, values in engine.logits(crops).items():
        np.testing.assert_allclose(values, expected[task], atol=1e-4)
    Small.most = 0
    with pytest.raises(UserError, match="too little free memory for a single face"):
        engine.logits(crops)
