"""A model's name leads to its folder, and a folder to a network, or to one sentence that says what is wrong."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import Adaptation, trained_tensors
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.checkpoint import save_model
from facial_attributes_ros.models.registry import build_network, load_model, model_folder
from facial_attributes_ros.models.spec import ModelSpec

SPEC = ModelSpec(
    name="tiny",
    backbone=BackboneReference("timm:vit_tiny_patch16_224", "backbone.safetensors"),
    image_size=32,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    adaptation=Adaptation.named("lora", rank=2, alpha=2.0).to_dict(),
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """A model folder with its backbone's weights beside it, and the network that was saved there."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(5)
    bare = build_network(replace(SPEC, backbone=replace(SPEC.backbone, weights=None), adaptation={"name": "lp"}))
    folder.mkdir()
    save_file(bare.backbone.trunk.state_dict(), folder / "backbone.safetensors")
    network = build_network(SPEC, folder)
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    save_model(folder, SPEC, trained_tensors(network))
    return folder, network.eval()


def changed(folder: Path, target: Path, **changes: object) -> Path:
    """Copy a model folder with changes of its description."""
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).symlink_to(file)
    document = json.loads((folder / "model.json").read_text())
    (target / "model.json").unlink()
    (target / "model.json").write_text(json.dumps({**document, **changes}))
    return target


def test_a_loaded_model_computes_what_was_saved_with_its_adapters_merged(
    saved: tuple[Path, torch.nn.Module],
) -> None:
    folder, network = saved
    model, spec = load_model(folder)
    assert spec == SPEC
    assert not model.training
    assert not any("lora" in name for name, _ in model.named_parameters())
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        ours, theirs = model(images), network(images)
    for task in SPEC.tasks:
        torch.testing.assert_close(ours[task], theirs[task], atol=5e-3, rtol=0)


def test_only_the_tasks_asked_for_are_kept(saved: tuple[Path, torch.nn.Module]) -> None:
    model, _ = load_model(saved[0], tasks=["gender"])
    assert model.tasks == ("gender",)
    with pytest.raises(UserError, match="has no task height"):
        load_model(saved[0], tasks=["height"])


def test_a_model_is_found_by_name_in_the_users_folder(
    saved: tuple[Path, torch.nn.Module], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pe-l14-336").symlink_to(saved[0])
    monkeypatch.setenv("FACIAL_ATTRIBUTES_MODELS", str(tmp_path))
    assert model_folder("pe-l14-336") == tmp_path / "pe-l14-336"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("pe-l14-336", "pe-l14-336 has no weights here: train or import them"),
        ("huge", r"no model 'huge': give small, pe-l14-336, or a folder with model\.json\."),
        ("someone/faces", "a hub reference needs its revision"),
        ("someone/faces@main", "a hub reference needs its revision"),
    ],
)
def test_a_name_that_leads_nowhere_is_told(name: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACIAL_ATTRIBUTES_MODELS", raising=False)
    with pytest.raises(UserError, match=sentence):
        model_folder(name)


def test_a_hub_that_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="can't be fetched"):
        model_folder("someone/faces@" + "0" * 40)


def test_a_folder_that_holds_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a model: it has no model\.json"):
        model_folder(tmp_path)


def test_missing_extra_and_misshaped_tensors_are_told(saved: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    folder = changed(saved[0], tmp_path / "broken")
    tensors = load_file(folder / "model.safetensors")
    tensors["heads.age.classifier.bias"] = torch.zeros(8)
    tensors["heads.height.classifier.bias"] = torch.zeros(8)
    del tensors["heads.gender.classifier.bias"]
    (folder / "model.safetensors").unlink()
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"missing heads\.gender.*extra heads\.height.*misshaped heads\.age"):
        load_model(folder)


def test_a_pickle_named_safetensors_is_refused(saved: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    folder = changed(saved[0], tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(pickle.dumps({"weight": [1, 2, 3]}))
    with pytest.raises(UserError, match="not a readable safetensors file"):
        load_model(folder)


@pytest.mark.parametrize(
    ("backbone", "sentence"),
    [
        ({"name": "timm:vit_tiny_patch16_224", "weights": "elsewhere.safetensors"}, "needs the backbone weights"),
        (
            {"name": "timm:vit_tiny_patch16_224", "weights": "backbone.safetensors", "sha256": "0" * 64},
            "another SHA-256",
        ),
        ({"name": "dinov2-vits14", "weights": "asset", "sha256": "0" * 64}, "was trained on other weights"),
        ({"name": "resnet18", "weights": "asset"}, "was trained on other weights"),
        ({"name": "nothing-known"}, "no backbone 'nothing-known'"),
    ],
)
def test_a_backbone_that_is_not_the_models_is_told(
    saved: tuple[Path, torch.nn.Module], tmp_path: Path, backbone: dict[str, str], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        load_model(changed(saved[0], tmp_path / "other", backbone=backbone))


def test_a_model_from_the_hub_may_not_name_a_file_of_this_machine(
    saved: tuple[Path, torch.nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for weights in ("../backbone.safetensors", str(saved[0] / "backbone.safetensors"), "~/backbone.pt"):
        folder = changed(saved[0], tmp_path / str(len(weights)), backbone={"name": "resnet18", "weights": weights})
        monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, folder=folder, **__: str(folder))
        with pytest.raises(UserError, match="names a file of this machine as its weights"):
            model_folder("someone/faces@" + "0" * 40)


@pytest.mark.parametrize("weights", ["none.pt", "x" * 5000, "~nobody-of-this-name/x.pt", "../" * 2000 + "x", "."])
def test_weights_that_are_not_there_are_told_whatever_they_are_called(
    saved: tuple[Path, torch.nn.Module], tmp_path: Path, weights: str
) -> None:
    folder = changed(saved[0], tmp_path / "model", backbone={"name": SPEC.backbone.name, "weights": weights})
    with pytest.raises(UserError, match="needs the backbone weights .* which are not there"):
        load_model(folder)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "~nobody-of-this-name/x"])
def test_a_name_that_no_file_can_have_is_told(name: str) -> None:
    with pytest.raises(UserError):
        model_folder(name)


@pytest.mark.parametrize("kind", [torch.int64, torch.uint8, torch.bool, torch.float64])
def test_weights_in_whole_numbers_are_refused_and_so_are_the_backbones(
    saved: tuple[Path, torch.nn.Module], tmp_path: Path, kind: torch.dtype
) -> None:
    for file, name in (
        ("model.safetensors", "heads.age.classifier.bias"),
        ("backbone.safetensors", "blocks.0.mlp.fc1.bias"),
    ):
        folder = changed(saved[0], tmp_path / file)
        tensors = load_file(folder / file)
        tensors[name] = tensors[name].to(kind)
        (folder / file).unlink()
        save_file(tensors, folder / file)
        with pytest.raises(UserError, match=f"{name} {str(kind).removeprefix('torch.')} instead of float32"):
            load_model(folder)


def test_a_backbone_that_is_not_finite_is_refused(saved: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    folder = changed(saved[0], tmp_path / "model")
    tensors = load_file(folder / "backbone.safetensors")
    tensors["blocks.0.mlp.fc1.bias"][3] = float("inf")
    (folder / "backbone.safetensors").unlink()
    save_file(tensors, folder / "backbone.safetensors")
    with pytest.raises(UserError, match=r"blocks\.0\.mlp\.fc1\.bias is not finite"):
        load_model(folder)
