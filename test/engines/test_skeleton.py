"""Engines that are built from a model's own graph, without PyTorch."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from facial_attributes_ros.engines.export import write_graph
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.engines.onnx_export import example_crops
from facial_attributes_ros.engines.skeleton import SKELETON_FILE
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import Adaptation
from facial_attributes_ros.models.spec import ModelSpec

from .conftest import SIZE, write_random_model

WITHOUT_TORCH = """
import json, sys
sys.modules.update(dict.fromkeys(("torch", "torchvision", "timm", "peft", "open_clip", "accelerate")))
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.engines.onnx_export import example_crops
engine = load_engine(sys.argv[1], "cpu", sys.argv[2])
logits = engine.logits(example_crops(3, engine.spec.image_size))
print(json.dumps({task: values.tolist() for task, values in logits.items()}))
"""


@pytest.fixture(scope="module")
def whole_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose folder holds all weights, and its graph."""
    folder = write_random_model(tmp_path_factory.mktemp("whole"), Adaptation.named("full"))
    write_graph(folder)
    return folder


def without_torch(folder: Path, engine: str) -> dict[str, np.ndarray]:
    command = [sys.executable, "-c", WITHOUT_TORCH, str(folder), engine]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return {task: np.array(values) for task, values in json.loads(done.stdout).items()}


def test_the_graph_holds_no_weight_that_the_model_holds(whole_model: Path) -> None:
    graph = onnx.load(whole_model / SKELETON_FILE).graph
    assert max(len(weight.raw_data) for weight in graph.initializer) < 1024
    assert (whole_model / SKELETON_FILE).stat().st_size < (whole_model / "model.safetensors").stat().st_size / 5


@pytest.mark.parametrize(("engine", "tolerance"), [("onnx", 1e-4), ("onnx-int8", 1.0)])
def test_an_engine_is_built_without_torch_and_gives_what_torch_gives(
    engine: str, tolerance: float, whole_model: Path
) -> None:
    expected = load_engine(whole_model, "cpu", "torch").logits(example_crops(3, SIZE))
    found = without_torch(whole_model, engine)
    assert found.keys() == expected.keys()
    for task, values in found.items():
        np.testing.assert_allclose(values, expected[task], atol=tolerance)


def test_a_model_with_adapters_keeps_the_merged_weights_in_its_graph(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapted"
    shutil.copytree(tiny_model, folder)
    write_graph(folder)
    expected = load_engine(tiny_model, "cpu", "torch").logits(example_crops(2, SIZE))
    graph = load_engine(folder, "cpu", "onnx").logits(example_crops(2, SIZE))
    for task, values in graph.items():
        np.testing.assert_allclose(values, expected[task], atol=1e-4)


def test_a_graph_of_other_tensors_is_not_used(whole_model: Path, tmp_path: Path) -> None:
    """A model that was trained on keeps the file of its parent: PyTorch exports the network then."""
    folder = write_random_model(tmp_path / "other", Adaptation.named("lp"))
    shutil.copy(whole_model / SKELETON_FILE, folder)
    expected = load_engine(folder, "cpu", "torch").logits(example_crops(2, SIZE))
    found = load_engine(folder, "cpu", "onnx").logits(example_crops(2, SIZE))
    for task, values in found.items():
        np.testing.assert_allclose(values, expected[task], atol=1e-4)


def test_a_calibration_does_not_make_a_graph_useless(whole_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "calibrated"
    shutil.copytree(whole_model, folder)
    spec = ModelSpec.read(folder)
    replace(spec, temperatures=dict.fromkeys(spec.tasks, 2.0)).write(folder)
    assert without_torch(folder, "onnx")


def test_a_damaged_graph_is_a_sentence(whole_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(whole_model, folder)
    model = onnx.load(folder / SKELETON_FILE)
    next(weight for weight in model.graph.initializer if weight.doc_string).doc_string = "nothing"
    onnx.save(model, folder / SKELETON_FILE)
    spec = ModelSpec.read(folder)
    replace(spec, name="damaged").write(folder)
    with pytest.raises(UserError, match="does not fit its tensors"):
        load_engine(folder, "cpu", "onnx")
    (folder / SKELETON_FILE).write_bytes(b"\xff\xff")
    with pytest.raises(UserError, match="can't be read as an ONNX file"):
        load_engine(folder, "cpu", "onnx")
