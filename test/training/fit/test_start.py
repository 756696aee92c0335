"""Training on from a trained model, and storing it as a difference of low rank."""

import pytest
import torch
from facial_attributes_training.fit.checkpointing import load_checkpoint
from facial_attributes_training.fit.network import build_network
from facial_attributes_training.fit.run import train
from safetensors.torch import load_file, save_file

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import trained_tensors
from facial_attributes_ros.models.backbones.build import build_backbone
from facial_attributes_ros.models.registry import load_model

from ..conftest import TINY


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """Return a backbone's recipe with a weights file."""
    path = tmp_path_factory.mktemp("backbone") / "backbone.safetensors"
    trunk = build_backbone(TINY["name"], None, TINY["image_size"], **TINY["architecture"]).trunk
    save_file(trunk.state_dict(), path)
    return TINY | {"weights": str(path)}


@pytest.fixture(scope="module")
def runs():
    """Recipes of finished runs by name, so that several tests start from one."""
    return {}


@pytest.fixture
def first(runs, make_recipe, backbone):
    """Return the recipe of a finished run that trains the last block."""
    return run_of("first", runs, make_recipe, backbone)


@pytest.fixture
def full(runs, make_recipe, backbone):
    """Return the recipe of a finished run that trains everything."""
    return run_of("full", runs, make_recipe, backbone, adaptation="full")


def run_of(name, runs, make_recipe, backbone, **changes):
    if name not in runs:
        runs[name] = make_recipe(name, backbone=backbone, **changes)
        train(runs[name])
    return runs[name]


def test_a_start_of_fewer_tasks_leaves_the_others_heads_fresh(make_recipe, backbone):
    first = train(make_recipe("first", backbone=backbone, tasks=["gender"]))
    begun = build_network(make_recipe("second", backbone=backbone | {"start": str(first)}))
    head = load_model(first)[0].heads["gender"].state_dict()
    assert torch.equal(begun.heads["gender"].state_dict()["classifier.weight"], head["classifier.weight"])
    assert begun.tasks == ("gender", "emotion")


def test_a_fully_trained_model_is_stored_as_a_difference(make_recipe, backbone, full):
    whole = full.folder / "model"
    cut = train(make_recipe("cut", backbone=backbone, adaptation="full", stored_rank=4))
    assert (cut / "model.safetensors").stat().st_size < (whole / "model.safetensors").stat().st_size
    start = {f"backbone.trunk.{name}": value for name, value in load_file(backbone["weights"]).items()}
    trained, stored = load_model(whole)[0].state_dict(), load_model(cut)[0].state_dict()
    name = "backbone.trunk.blocks.0.mlp.fc1.weight"
    assert torch.linalg.matrix_rank(stored[name] - start[name], rtol=1e-3) == 4
    assert (stored[name] - trained[name]).norm() < (start[name] - trained[name]).norm()
    head = "heads.gender.classifier.weight"
    torch.testing.assert_close(stored[head], trained[head])


def test_adapters_are_not_stored_without_what_they_stand_on(make_recipe, backbone):
    with pytest.raises(ValueError, match=r"a checkpoint as backbone\.start suits"):
        make_recipe("run", backbone=backbone | {"start": "runs/x/stage/last.pt"}, adaptation="lora")
    with pytest.raises(ValueError, match="stored_rank suits"):
        make_recipe("run", backbone=backbone, adaptation="lora", stored_rank=4)


def test_a_run_starts_from_another_ones_checkpoint(make_recipe, backbone, first):
    checkpoint = first.folder / "stage" / "last.pt"
    begun = build_network(make_recipe("second", backbone=backbone | {"start": str(checkpoint)}))
    saved = load_checkpoint(checkpoint)["model"]
    for name, value in trained_tensors(begun).items():
        assert torch.equal(value, saved[f"model.{name}"]), name
    with pytest.raises(UserError, match=r"last\.pt has backbone\.trunk\.blocks\.1"):
        build_network(make_recipe("third", adaptation="lp", backbone=backbone | {"start": str(checkpoint)}))
