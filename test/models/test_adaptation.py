"""Every rung trains what it says on any ViT, and merging changes nothing but the cost."""

import itertools
from pathlib import Path

import pytest
import torch

from facial_attributes_ros.attributes import LABELS, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import (
    Adaptation,
    adapter_layers,
    apply,
    build_model,
    merge,
    trained_tensors,
)
from facial_attributes_ros.models.backbones.build import build_backbone
from facial_attributes_ros.models.checkpoint import load_into
from facial_attributes_ros.models.heads import build_heads
from facial_attributes_ros.models.multitask import MultiTaskModel

from .tiny_models import LOW_RANK, TINY, VITS, low_rank, random_images, random_model


def trained_names(model: torch.nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize(("name", "rung"), itertools.product(VITS, ("lora", "mtlora")))
@torch.no_grad()
def test_merging_keeps_the_logits_and_takes_the_adapters_out(name: str, rung: str) -> None:
    model = random_model(low_rank(rung), name)
    bare = build_backbone(name, **VITS[name])
    images = random_images(model.backbone)
    before = model(images)
    assert {task: logits.shape for task, logits in before.items()} == {t: (2, len(LABELS[t])) for t in TASKS}
    merge(model)
    for task, logits in model(images).items():
        torch.testing.assert_close(logits, before[task], atol=1e-4, rtol=0)
    assert not adapter_layers(model)
    if rung == "lora":
        assert model.backbone.state_dict().keys() == bare.state_dict().keys()


EVERYWHERE = ("lora", "mtlora", "lp", "ft-1")
SAME_LAYERS = ("lora-plain", "lora-reference", "full")


@pytest.mark.parametrize(
    ("name", "rung"), [*itertools.product(VITS, EVERYWHERE), *itertools.product((TINY,), SAME_LAYERS)]
)
def test_everything_that_is_trained_gets_a_gradient_and_nothing_else(name: str, rung: str) -> None:
    adaptation = low_rank(rung) if rung in LOW_RANK else Adaptation.named(rung)
    model = random_model(adaptation, name)
    model.train()
    sum(logits.square().mean() for logits in model(random_images(model.backbone, 4)).values()).backward()
    moved = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert moved == trained_names(model)
    zero = {name for name, parameter in model.named_parameters() if name in moved and not parameter.grad.any()}
    # The key's bias moves every logit of a query alike, so that attention doesn't see it.
    assert not {name for name in zero if not name.endswith("qkv.bias")}


def test_partial_fine_tuning_trains_blocks_and_pooling_or_the_final_norm() -> None:
    pooled = build_model(build_backbone(TINY), Adaptation.named("ft-2"))
    last = len(pooled.backbone.blocks) - 1
    prefixes = {f"backbone.trunk.blocks.{last}", f"backbone.trunk.blocks.{last - 1}", "backbone.trunk.attn_pool"}
    assert _prefixes(trained_names(pooled), 4) >= prefixes - {"backbone.trunk.attn_pool"}
    assert not any(name.startswith("backbone.trunk.norm") for name in trained_names(pooled))
    assert any(name.startswith("backbone.trunk.attn_pool") for name in trained_names(pooled))
    plain = build_model(build_backbone("timm:vit_tiny_patch16_224", depth=3, image_size=32), Adaptation.named("ft-2"))
    blocks = {"backbone.trunk.blocks.1", "backbone.trunk.blocks.2"}
    trained = {name for name in trained_names(plain) if not name.startswith("heads")}
    assert {name for name in trained if not name.startswith(tuple(blocks))} == {
        "backbone.trunk.norm.weight",
        "backbone.trunk.norm.bias",
    }
    with pytest.raises(UserError, match="has 3 blocks"):
        build_model(build_backbone("timm:vit_tiny_patch16_224", depth=3, image_size=32), Adaptation.named("ft-4"))


def _prefixes(names: set[str], parts: int) -> set[str]:
    return {".".join(name.split(".")[:parts]) for name in names}


def test_linear_probing_trains_the_heads_alone_and_without_batch_norm() -> None:
    model = build_model(build_backbone(TINY), Adaptation.named("lp"))
    assert all(name.startswith("heads.") for name in trained_names(model))
    assert not any("norm" in name for name in trained_names(model))


@pytest.mark.parametrize("rung", [*LOW_RANK, "lp", "ft-1", "full"])
@torch.no_grad()
def test_what_is_trained_makes_up_the_whole_difference_between_two_models(rung: str) -> None:
    adaptation = low_rank(rung) if rung in LOW_RANK else Adaptation.named(rung)
    source, target = random_model(adaptation, seed=1), random_model(adaptation, seed=1)
    for parameter in source.parameters():
        if parameter.requires_grad:
            parameter.normal_(std=0.1)
    source.train()
    images = random_images(source.backbone, 4)
    source(images)
    tensors = trained_tensors(source)
    load_into(target, tensors, expected=trained_tensors(target).keys())
    source.eval()
    for task, logits in target.eval()(images).items():
        torch.testing.assert_close(logits, source(images)[task])


@torch.no_grad()
def test_heads_alone_can_be_loaded_and_others_are_listed_as_faults() -> None:
    source, target = random_model(low_rank("lora"), seed=1), random_model(low_rank("lora"), seed=2)
    tensors = trained_tensors(source)
    load_into(target, tensors, only="heads.age.")
    assert torch.equal(target.heads["age"].classifier.weight, source.heads["age"].classifier.weight)
    assert not torch.equal(target.heads["gender"].classifier.weight, source.heads["gender"].classifier.weight)
    lost = dict(list(tensors.items())[1:])
    with pytest.raises(UserError, match="missing"):
        load_into(target, lost, expected=trained_tensors(target).keys())


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    gradients = []
    for checkpointing in (False, True):
        model = random_model(Adaptation.named("mtlora", rank=3, alpha=3.0, dropout=0.0))
        model.backbone.gradient_checkpointing = checkpointing
        model.train()
        for head in model.heads.values():
            head.dropout.p = 0.0
        torch.manual_seed(4)
        sum(logits.square().mean() for logits in model(random_images(model.backbone, 4)).values()).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=lambda text, name=name: f"{name}: {text}")


def test_an_adaptation_survives_being_written_down() -> None:
    for name in ("zero-shot", "lp", "ft-3", "full", *LOW_RANK):
        adaptation = Adaptation.named(name)
        assert Adaptation.from_dict(adaptation.to_dict()) == adaptation
    assert Adaptation.from_dict({"name": "lora", "rank": 8}).rank == 8


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"name": "nope"}, "no adaptation 'nope'"),
        ({"name": "ft-0"}, "no adaptation 'ft-0'"),
        ({"name": "lora", "width": 3}, "no width"),
        ({"name": "lora", "pool_layers": "some"}, "pool_layers"),
    ],
)
def test_an_adaptation_that_does_not_exist_is_refused(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Adaptation.from_dict(values)


def test_what_cannot_be_adapted_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no linear layers"):
        build_model(build_backbone("resnet18"), Adaptation.named("lora"))
    model = random_model(low_rank("lora"))
    with pytest.raises(UserError, match="adapters already"):
        apply(model, low_rank("lora"))
    backbone = build_backbone("PE-Core-T-16-384")
    with pytest.raises(UserError, match="takes 512 features"):
        apply(MultiTaskModel(backbone, build_heads(backbone.feature_dim)), Adaptation.named("mtlora"))
    with pytest.raises(UserError, match="no task 'height'"):
        build_heads(8, ["height"])
    with pytest.raises(UserError, match="no head for 'emotion'"):
        build_model(build_backbone(TINY), Adaptation.named("lp"), ["age"])(torch.zeros(1, 3, 160, 160), ["emotion"])


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"rank": "abc"}, "rank is a whole number"),
        ({"rank": True}, "rank is a whole number"),
        ({"rank": -1}, "rank is 0"),
        ({"dropout": 2}, "dropout is from 0 to below 1"),
        ({"alpha": float("nan")}, "alpha is 0 to 1e6"),
        ({"pool_layers": ["q"]}, "pool_layers is a name"),
        ({"dora": "yes"}, "dora is true or false"),
        ({"loraplus_ratio": 0}, "loraplus_ratio is above 0"),
    ],
)
def test_values_that_no_adaptation_can_have_are_told(changes: dict[str, object], fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        Adaptation.from_dict({"name": "lora", **changes})
