"""Exported files compute what PyTorch computes, say what goes in and out, and are never half there."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from facial_attributes_ros.cli.main import main
from facial_attributes_ros.engines import export as module
from facial_attributes_ros.engines.deployed import DeployedModel
from facial_attributes_ros.engines.export import export
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.engines.onnx_export import example_crops, largest_difference
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.registry import load_model
from facial_attributes_ros.models.spec import ModelSpec


def test_an_onnx_file_runs_without_this_package(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "out" / "tiny.onnx"
    notes, difference = export(tiny_model, "onnx", path, ["gender"])
    assert difference < 2e-3
    described = json.loads(notes.read_text())
    session = onnxruntime.InferenceSession(str(path))
    crops = example_crops(4, described["input"]["shape"][1])
    (logits,) = session.run(None, {described["input"]["name"]: crops})
    expected = load_engine(tiny_model, device="cpu", engine="torch").logits(crops, ["gender"])
    np.testing.assert_allclose(logits, expected["gender"], atol=2e-3)
    assert list(described["outputs"]) == ["gender"]
    assert described["outputs"]["gender"]["labels"] == ["male", "female"]
    assert described["input"]["crop_margin"] == pytest.approx(0.2)
    spec = ModelSpec.identified(tiny_model)
    assert (described["model"], described["sha256"]) == (spec.name, spec.sha256)
    assert described["licence"]["commercial_use"] == spec.licence.commercial_use
    assert sorted(file.name for file in path.parent.iterdir()) == ["tiny.onnx", "tiny.onnx.json"]


def test_the_notes_say_how_an_age_in_years_is_read(years_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "years.onnx"
    notes, _ = export(years_model, "onnx", path, ["age"])
    described = json.loads(notes.read_text())
    assert described["outputs"] == {"age": {"standard_deviation_in_years": 6.0}}
    assert described["age_in_years"] == {"mean": 35.0, "plus_output_times": 15.0}
    (outputs,) = onnxruntime.InferenceSession(str(path)).run(None, {"crops": example_crops(2, 32)})
    assert outputs.shape == (2, 1)


def test_a_difference_of_ages_in_years_is_seen(years_model: Path) -> None:
    network, spec = load_model(years_model)
    deployed = DeployedModel(network, spec, ["age"]).eval().requires_grad_(False)

    def other(crops: np.ndarray) -> list[np.ndarray]:
        return [deployed(torch.from_numpy(crops))[0].numpy() + 1]

    # A softmax over one number would hide it.
    assert largest_difference(other, deployed, 32, as_probabilities=True) == pytest.approx(1.0)


def test_a_pt2_file_takes_any_number_of_faces(tiny_model: Path, tmp_path: Path) -> None:
    export(tiny_model, "pt2", tmp_path / "tiny.pt2")
    program = torch.export.load(tmp_path / "tiny.pt2").module()
    crops = example_crops(3, 32)
    expected = load_engine(tiny_model, device="cpu", engine="torch").logits(crops)
    for count in (1, 3):
        for got, values in zip(program(torch.from_numpy(crops[:count])), expected.values(), strict=True):
            np.testing.assert_allclose(got.detach().numpy(), values[:count], atol=2e-3)


@pytest.mark.skipif(bool(module.importlib.util.find_spec("tensorrt")), reason="TensorRT is installed here")
def test_tensorrt_is_refused_where_it_is_not_installed(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="TensorRT is not installed here"):
        export(tiny_model, "tensorrt", tmp_path / "tiny.engine")


def test_a_folder_is_no_file_to_write(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder: give the name of a file"):
        export(tiny_model, "onnx", tmp_path)


def test_a_file_that_fails_its_check_is_not_written(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "largest_difference", lambda *_: float("nan"))
    with pytest.raises(UserError, match="differs from PyTorch's"):
        export(tiny_model, "pt2", tmp_path / "tiny.pt2")
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_it_wrote(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tiny.onnx"
    assert main(["export", "--model", str(tiny_model), "--int8", "--out", str(path)]) == 0
    assert "differs from PyTorch by at most" in capsys.readouterr().out
    assert main(["export", "--model", str(tiny_model), "--int8", "--format", "pt2", "--out", str(path)]) == 2
    assert "Only the format onnx" in capsys.readouterr().err


def test_a_command_that_is_told_to_end_leaves_nothing_behind(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminated(_deployed: object, _spec: object, path: Path, _int8: bool) -> float:
        path.write_text("half of it")
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("went on")

    monkeypatch.setitem(module._WRITERS, "pt2", terminated)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit):
        main(["export", "--model", str(tiny_model), "--format", "pt2", "--out", str(tmp_path / "model.pt2")])
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == before
