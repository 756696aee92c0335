"""Tensors on disk: whole, in the right shape, and never code."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import trained_tensors
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.checkpoint import load_into, load_tensors, save_model
from facial_attributes_ros.models.spec import ModelSpec

SPEC = ModelSpec("toy", BackboneReference("resnet18"), 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def network() -> nn.Sequential:
    """A frozen layer, and a trained batch norm and head."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    model(torch.randn(8, 4))  # the running figures move off their starting values
    return model.eval()


@pytest.mark.parametrize(("half", "tolerance"), [(True, 1e-3), (False, 0.0)])
def test_a_saved_model_computes_the_same(tmp_path: Path, half: bool, tolerance: float) -> None:
    model, other = network(), network()
    nn.init.normal_(other[2].weight)
    other[1].running_mean.zero_()
    save_model(tmp_path, SPEC, trained_tensors(model), half=half)
    load_into(other, load_tensors(tmp_path), expected=trained_tensors(other).keys())
    inputs = torch.randn(3, 4)
    torch.testing.assert_close(other(inputs), model(inputs), atol=tolerance, rtol=0)
    assert other[2].weight.dtype == torch.float32
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_a_folder_whose_name_is_not_utf8_holds_a_model_like_any_other(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    save_model(folder, SPEC, trained_tensors(network()))
    assert load_tensors(folder).keys() == trained_tensors(network()).keys()
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]
    assert not (folder / "model.safetensors").is_symlink()


def test_variances_too_small_for_half_precision_survive(tmp_path: Path) -> None:
    model = network()
    model[1].running_var.fill_(1e-9)
    save_model(tmp_path, SPEC, trained_tensors(model))
    assert load_tensors(tmp_path)["1.running_var"][0] == pytest.approx(1e-9)


def test_matrices_are_stored_in_half_precision_and_vectors_as_they_are(tmp_path: Path) -> None:
    state = trained_tensors(network())
    save_model(tmp_path, SPEC, state)
    stored = load_tensors(tmp_path)
    assert {name: value.dtype for name, value in stored.items()} == {
        name: torch.float16 if value.ndim > 1 else value.dtype for name, value in state.items()
    }
    for name in ("1.weight", "1.bias", "1.running_mean", "1.running_var", "2.bias"):
        assert torch.equal(stored[name], state[name]), name


@pytest.mark.parametrize("kind", [torch.int32, torch.int8, torch.bool, torch.float64, torch.float8_e4m3fn])
def test_weights_of_another_type_are_refused(kind: torch.dtype) -> None:
    model = network()
    state = trained_tensors(model)
    before = model[2].weight.clone()
    name = str(kind).removeprefix("torch.")
    with pytest.raises(UserError, match=rf"mistyped 2\.weight {name} instead of float32"):
        load_into(model, {**state, "2.weight": torch.ones(2, 4).to(kind)}, expected=state.keys())
    assert torch.equal(model[2].weight, before)


def test_a_counter_in_floating_numbers_and_a_negative_variance_are_refused() -> None:
    model = network()
    state = {**trained_tensors(model), "1.num_batches_tracked": torch.tensor(1.5), "1.running_var": -torch.ones(4)}
    told = r"mistyped 1\.num_batches_tracked float32 instead of int64; below zero 1\.running_var"
    with pytest.raises(UserError, match=told):
        load_into(model, state, expected=state.keys())


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_will_do(kind: torch.dtype) -> None:
    model, state = network(), trained_tensors(network())
    load_into(model, {**state, "2.weight": torch.full((2, 4), 0.5, dtype=kind)}, expected=state.keys())
    assert torch.equal(model[2].weight, torch.full((2, 4), 0.5))


def test_missing_extra_and_misshaped_tensors_are_named_together() -> None:
    model = network()
    state = trained_tensors(model)
    before = model[1].weight.clone()
    bad = {**state, "3.bias": torch.zeros(2), "2.weight": torch.zeros(3, 4), "1.weight": torch.zeros(4)}
    del bad["2.bias"]
    with pytest.raises(UserError, match=r"missing 2\.bias; extra 3\.bias; misshaped 2\.weight \(3, 4\) instead of"):
        load_into(model, bad, expected=state.keys())
    assert torch.equal(model[1].weight, before)


def test_tensors_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = network()
    state = {**trained_tensors(model), "2.bias": torch.tensor([0.0, float("nan")])}
    with pytest.raises(UserError, match=r"not finite 2\.bias"):
        load_into(model, state, expected=state.keys())
    with pytest.raises(ValueError, match=r"not finite: 2\.bias"):
        save_model(tmp_path, SPEC, state)
    assert not list(tmp_path.iterdir())


def test_a_prefix_limits_what_is_looked_at() -> None:
    model = network()
    load_into(model, {"2.weight": torch.ones(2, 4), "2.bias": torch.ones(2), "9.weight": torch.ones(1)}, only="2.")
    assert torch.equal(model[2].bias, torch.ones(2))


def test_without_strictness_what_fits_is_taken() -> None:
    model = network()
    load_into(model, {"2.bias": torch.ones(2), "9.weight": torch.ones(1)}, strict=False)
    assert torch.equal(model[2].bias, torch.ones(2))


class Explosive:
    """Unpickling it would fail the test."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("the file was unpickled",)


@pytest.mark.parametrize("content", [pickle.dumps(Explosive()), b"", b"\xff" * 64], ids=["pickle", "empty", "noise"])
def test_anything_but_safetensors_is_refused_unread(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="not a readable safetensors file"):
        load_tensors(tmp_path)


def test_a_torch_file_under_this_name_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        load_tensors(tmp_path)


def test_a_folder_without_tensors_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no model\.safetensors"):
        load_tensors(tmp_path)
