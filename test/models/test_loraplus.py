"""LoRA+ groups: every trained parameter in one group, at the rate its kind asks for."""

import pytest
import torch

from facial_attributes_ros.models.adaptations.ladder import Adaptation
from facial_attributes_ros.models.adaptations.loraplus import parameter_groups

from .tiny_models import TINY, low_rank, random_model


def rates(rung: str, pooling_as_head: bool = False) -> dict[str, float]:
    """Return the learning rate of every trained parameter, in units of the heads' rate."""
    model = random_model(low_rank(rung) if "lora" in rung else Adaptation.named(rung), TINY)
    adaptation = low_rank(rung) if "lora" in rung else Adaptation.named(rung)
    groups = parameter_groups(model, adaptation, lr=1.0, weight_decay=0.01, pooling_as_head=pooling_as_head)
    torch.optim.AdamW(groups)
    names = {id(parameter): name for name, parameter in model.named_parameters() if parameter.requires_grad}
    found = [(names[id(parameter)], group["lr"]) for group in groups for parameter in group["params"]]
    assert len(found) == len(names)
    return dict(found)


@pytest.mark.parametrize("rung", ["lora", "mtlora"])
def test_b_matrices_learn_six_times_as_fast_as_a_and_magnitudes_as_a(rung: str) -> None:
    for name, rate in rates(rung).items():
        if "lora_B" in name or ".up." in name:
            assert rate == pytest.approx(0.6), name
        elif "lora_A" in name or ".down." in name or "magnitude" in name:
            assert rate == pytest.approx(0.1), name
        else:
            assert name.startswith(("heads.", "streams.latents."))
            assert rate == 1.0, name


@pytest.mark.parametrize("rung", ["lora", "mtlora"])
def test_adapters_of_the_pooling_may_learn_as_fast_as_the_heads(rung: str) -> None:
    """The rule of Sessa's code: all whose name contains the attention pooling, whatever kind of matrix it is."""
    usual, found = rates(rung), rates(rung, pooling_as_head=True)
    pooling = {name for name in found if ".attn_pool." in name}
    assert sorted({usual[name] for name in pooling}) == pytest.approx([0.1, 0.6])
    assert {found[name] for name in pooling} == {1.0}
    assert {name: rate for name, rate in found.items() if name not in pooling} == {
        name: rate for name, rate in usual.items() if name not in pooling
    }


def test_pooling_learns_as_fast_as_the_heads_and_blocks_ten_times_slower() -> None:
    for name, rate in rates("ft-1").items():
        assert rate == (0.1 if ".blocks." in name else 1.0), name


def test_rates_fall_with_the_distance_from_the_last_block() -> None:
    model = random_model(Adaptation.named("full"), TINY)
    groups = parameter_groups(model, Adaptation.named("full"), lr=1.0, backbone_rate=0.5, layer_decay=0.5)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {names[id(parameter)]: group["lr"] for group in groups for parameter in group["params"]}
    assert len(found) == len(list(model.parameters()))
    last = len(model.backbone.blocks) - 1
    for name, rate in found.items():
        if ".blocks." in name:
            index = int(name.split(".blocks.")[1].split(".")[0])
            assert rate == 0.5 * 0.5 ** (last - index), name
        elif "patch_embed" in name:
            assert rate == 0.5 * 0.5 ** (last + 1), name
        elif name.startswith("heads."):
            assert rate == 1.0, name


def test_vectors_are_not_decayed() -> None:
    model = random_model(low_rank("lora"), TINY)
    for group in parameter_groups(model, low_rank("lora"), lr=1.0, weight_decay=0.01):
        dimensions = {parameter.ndim > 1 for parameter in group["params"]}
        assert dimensions == {group["weight_decay"] > 0}


def test_pefts_own_helper_puts_magnitudes_and_heads_elsewhere() -> None:
    """Why the groups are made by hand; if this fails, peft has changed its mind."""
    from peft.optimizers import create_loraplus_optimizer

    model = random_model(low_rank("lora"), TINY)
    optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, lr=0.1, loraplus_lr_ratio=6)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    theirs = {names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    magnitude = next(name for name in theirs if "magnitude" in name)
    assert theirs[magnitude] == pytest.approx(0.6)
    assert theirs["heads.age.classifier.weight"] == pytest.approx(0.1)
    assert theirs["heads.age.classifier.bias"] == pytest.approx(0.6)
