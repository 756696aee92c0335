"""Checkpoints in the format of Sessa's code, made here from random numbers, give the same logits in our model."""

import argparse
import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from facial_attributes_ros.cli.import_ import add_arguments, run
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import (
    Adaptation,
    adapter_layers,
    build_model,
    merge,
    trained_tensors,
)
from facial_attributes_ros.models.backbones.build import build_backbone
from facial_attributes_ros.models.checkpoint import load_into, load_tensors
from facial_attributes_ros.models.multitask import MultiTaskModel
from facial_attributes_ros.models.sessa_import import SessaCheckpoint, import_sessa, read_sessa
from facial_attributes_ros.models.spec import ModelSpec

from . import sessa_network as sessa


def write_checkpoint(folder: Path, adapters: dict[str, Tensor], custom: dict[str, object]) -> Path:
    folder.mkdir(exist_ok=True)
    config = {"r": sessa.RANK, "lora_alpha": sessa.RANK, "lora_dropout": 0.5, "use_dora": True}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file(adapters, folder / "adapter_model.safetensors")
    torch.save(custom, folder / "custom_layers.pt")
    return folder


def our_model(backbone: dict[str, Tensor], checkpoint: SessaCheckpoint, folder: Path) -> MultiTaskModel:
    torch.save(backbone, folder / "backbone.pt")
    network = build_backbone(
        "timm:vit_pe_core_tiny_patch16_384",
        folder / "backbone.pt",
        image_size=sessa.SIDE,
        patch_size=sessa.PATCH,
        embed_dim=sessa.WIDTH,
        depth=sessa.DEPTH,
        num_heads=sessa.HEADS,
        num_classes=sessa.WIDTH,
        ref_feat_shape=(sessa.GRID, sessa.GRID),
    )
    model = build_model(network, checkpoint.adaptation, checkpoint.tasks)
    load_into(model, checkpoint.tensors, expected=trained_tensors(model).keys())
    return model


@pytest.mark.parametrize("task_specific", [False, True], ids=["dora", "mtlora"])
@torch.no_grad()
def test_an_imported_checkpoint_gives_the_logits_of_the_thesis_network(task_specific: bool, tmp_path: Path) -> None:
    torch.manual_seed(5)
    backbone = sessa.random_backbone()
    adapters = sessa.random_adapters(sessa.DEPTH - int(task_specific), pool=not task_specific)
    custom: dict[str, dict[str, Tensor]] = {"prediction_layers": sessa.random_heads()}
    custom |= sessa.random_streams(backbone) if task_specific else {}
    images = torch.randn(3, 3, sessa.SIDE, sessa.SIDE)
    expected = sessa.logits(backbone, adapters, custom, images)
    checkpoint = read_sessa(write_checkpoint(tmp_path, adapters, dict(custom)), sessa.DEPTH)
    model = our_model(backbone, checkpoint, tmp_path)
    for _ in ("before merging", "after merging"):
        found = model(images)
        for task in sessa.TASKS:
            assert expected[task].abs().max() > 0.1
            torch.testing.assert_close(found[task.lower()], expected[task], atol=1e-4, rtol=0)
        merge(model)
    assert not adapter_layers(model)


def small_checkpoint(folder: Path, **extra: object) -> Path:
    """Write a DoRA checkpoint that fits PE-Core-T-16-384."""
    model = build_model(build_backbone("PE-Core-T-16-384"), _import_adaptation())
    custom, adapters = {}, {}
    for name, tensor in trained_tensors(model).items():
        if name.startswith("heads."):
            _, task, layer, *rest = name.split(".")
            index = {"norm": "0", "hidden": "2", "classifier": "4"}[layer]
            custom[f"{task.capitalize()}.{index}.{rest[-1]}"] = tensor
        else:
            theirs = name.removeprefix("backbone.trunk.").replace("blocks.", "transformer.resblocks.")
            theirs = theirs.replace("attn.qkv", "attn.in_proj").replace("attn.proj", "attn.out_proj")
            theirs = theirs.replace("mlp.fc1", "mlp.c_fc").replace("mlp.fc2", "mlp.c_proj").replace(".default", "")
            adapters[f"base_model.model.{theirs}".replace("vector.weight", "vector")] = tensor
    return write_checkpoint(folder, adapters, {"prediction_layers": custom, **extra})


def _import_adaptation() -> Adaptation:
    return Adaptation.named("lora-reference", rank=sessa.RANK, alpha=sessa.RANK, pool_layers="mlp")


def test_the_command_writes_a_model_folder_that_says_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = small_checkpoint(tmp_path / "theirs"), tmp_path / "ours"
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert run(parser.parse_args([str(folder), "--out", str(out), "--backbone", "PE-Core-T-16-384"])) == 0
    assert "--weights" in capsys.readouterr().out
    spec = ModelSpec.read(out)
    assert spec.tasks == ("age", "gender", "emotion")
    assert (spec.image_size, spec.mean, spec.interpolation) == (384, (0.5, 0.5, 0.5), "bilinear")
    assert spec.backbone.name == "PE-Core-T-16-384"
    # The backbone's terms are known, the checkpoint's are not.
    assert spec.licence.commercial_use == "unknown"
    assert "Apache-2.0" in spec.licence.spdx
    assert spec.parent is not None
    assert spec.parent.name == "PE-Core-T-16-384"
    assert spec.date is not None
    assert len(spec.commands) == 1
    assert "heads.age.classifier.weight" in load_tensors(out)


def test_a_pickle_that_runs_code_is_refused_with_a_sentence(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))

    folder = write_checkpoint(tmp_path, sessa.random_adapters(1, pool=False), {})
    for content in (Trap(), {"prediction_layers": Trap()}):
        torch.save(content, folder / "custom_layers.pt")
        with pytest.raises(UserError, match="refused"):
            read_sessa(folder, sessa.DEPTH)
        (folder / "custom_layers.pt").write_bytes(pickle.dumps(content))
        with pytest.raises(UserError, match="refused"):
            read_sessa(folder, sessa.DEPTH)
    assert not (tmp_path / "ran").exists()


def test_unknown_layers_are_refused_by_name(tmp_path: Path) -> None:
    heads = {"prediction_layers": sessa.random_heads()}
    adapters = sessa.random_adapters(1, pool=False)
    odd = adapters | {"base_model.model.conv1.lora_A.weight": torch.zeros(1, 1)}
    with pytest.raises(UserError, match="conv1"):
        read_sessa(write_checkpoint(tmp_path / "a", odd, heads), sessa.DEPTH)
    shallow = {"prediction_layers": {"Age.0.weight": torch.zeros(4), "Age.2.weight": torch.zeros(9, 4)}}
    with pytest.raises(UserError, match="deep head"):
        read_sessa(write_checkpoint(tmp_path / "b", adapters, shallow), sessa.DEPTH)
    broken = heads | {"mtl_layer": sessa.random_streams(sessa.random_backbone())["mtl_layer"]}
    with pytest.raises(UserError, match="mtl_attn_pool is missing"):
        read_sessa(write_checkpoint(tmp_path / "c", adapters, broken), sessa.DEPTH)
    with pytest.raises(UserError, match=r"no file .*custom_layers.pt"):
        read_sessa(tmp_path, sessa.DEPTH)


def test_a_checkpoint_with_missing_layers_does_not_become_a_model(tmp_path: Path) -> None:
    folder = small_checkpoint(tmp_path / "theirs")
    adapters = {"base_model.model.attn_pool.mlp.c_fc.lora_A.weight": torch.zeros(sessa.RANK, 192)}
    save_file(adapters, folder / "adapter_model.safetensors")
    with pytest.raises(UserError, match="missing"):
        import_sessa(folder, tmp_path / "ours", "PE-Core-T-16-384")
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested more than"),
        ("9" * 5000, "too many digits"),
        ("5", "no JSON object"),
        ('{"lora_alpha": 1}', "r is None"),
        ('{"r": 1e999, "lora_alpha": 1}', "r is inf"),
        ('{"r": 1.5, "lora_alpha": 1}', "r is a whole number"),
        ('{"r": true, "lora_alpha": 1}', "r is True"),
        ('{"r": 4, "lora_alpha": 0}', "lora_alpha is 0"),
        ('{"r": 4, "lora_alpha": 4, "lora_dropout": "x"}', "lora_dropout is 'x'"),
        ('{"r": 4, "lora_alpha": 4, "lora_dropout": NaN}', "lora_dropout is nan"),
    ],
    ids=lambda text: text[:20],
)
def test_a_configuration_that_no_adapter_has_is_told(config: str, told: str, tmp_path: Path) -> None:
    torch.save({"prediction_layers": {}}, tmp_path / "custom_layers.pt")
    (tmp_path / "adapter_config.json").write_text(config)
    with pytest.raises(UserError, match=rf"adapter_config\.json.*{told}"):
        read_sessa(tmp_path, 2)


@pytest.mark.parametrize("layers", [5, {"age.4.weight": 5}, {3: torch.zeros(1)}], ids=str)
def test_layers_that_are_no_tensors_are_told(layers: object, tmp_path: Path) -> None:
    torch.save({"prediction_layers": layers}, tmp_path / "custom_layers.pt")
    with pytest.raises(UserError, match="has no prediction_layers"):
        read_sessa(tmp_path, 2)
