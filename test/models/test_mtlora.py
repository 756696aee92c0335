"""The task streams compute what the formula says, once for the frozen product, and alone or together."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from facial_attributes_ros.models.adaptations.ladder import build_model
from facial_attributes_ros.models.adaptations.mtlora import SHARED, TaskLinear
from facial_attributes_ros.models.backbones.build import build_backbone

from .tiny_models import TINY, VITS, low_rank, random_images, random_model


@torch.no_grad()
def test_a_task_layer_adds_each_tasks_update_to_the_shared_product() -> None:
    base = nn.Linear(6, 12)
    layer = TaskLinear(base, ("a", "b"), rank=2, alpha=4.0, parts=3)
    for matrix in layer.up.values():
        matrix.normal_()
    shared, a, b = (torch.randn(5, 7, 6) for _ in range(3))
    layer.stream = SHARED
    torch.testing.assert_close(layer(shared), base(shared))
    for task, own in (("a", a), ("b", b)):
        layer.stream = task
        out = layer(own)
        down, up = layer.down[task].reshape(3, 2, 6), layer.up[task].reshape(3, 4, 2)
        update = torch.cat([functional.linear(own, part @ inner) for part, inner in zip(up, down, strict=True)], -1)
        torch.testing.assert_close(out, base(shared) + 2.0 * update)


@pytest.mark.parametrize("name", [TINY, "timm:vit_tiny_patch16_224", "timm:beit_base_patch16_224"])
@torch.no_grad()
def test_before_training_every_task_sees_the_backbones_own_features(name: str) -> None:
    backbone = build_backbone(name, **VITS[name])
    images = random_images(backbone)
    own = backbone(images)
    model = build_model(backbone, low_rank("mtlora"))
    for features in model.features(images).values():
        torch.testing.assert_close(features, own)


@torch.no_grad()
def test_tasks_asked_for_alone_get_the_same_logits_as_together() -> None:
    model = random_model(low_rank("mtlora"))
    images = random_images(model.backbone)
    together = model(images)
    assert (model.features(images)["age"] - model.features(images)["gender"]).abs().max() > 1e-3
    for task, logits in together.items():
        torch.testing.assert_close(model(images, [task])[task], logits)
    with pytest.raises(ValueError, match="streams begin"):
        model.suffix(images, len(model.backbone.blocks))


def test_the_frozen_product_of_the_last_block_is_computed_once() -> None:
    model = random_model(low_rank("mtlora"))
    sizes = []
    layer = next(part for part in model.backbone.blocks[-1].modules() if isinstance(part, TaskLinear))
    layer.base.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    model(random_images(model.backbone, 2))
    assert sizes == [2]
