"""Small random models of many kinds, for the tests of this folder."""

from typing import Any

import torch

from facial_attributes_ros.models.adaptations.ladder import Adaptation, build_model
from facial_attributes_ros.models.backbones.base import Backbone
from facial_attributes_ros.models.backbones.build import build_backbone
from facial_attributes_ros.models.multitask import MultiTaskModel

VITS: dict[str, dict[str, Any]] = {
    "timm:test_vit": {},
    "timm:test_vit3": {},
    "timm:vit_tiny_patch16_224": {"image_size": 32, "depth": 2},
    "timm:vit_small_patch14_reg4_dinov2": {"image_size": 28, "depth": 2, "embed_dim": 48, "num_heads": 4},
    "timm:vit_base_patch16_siglip_224": {"image_size": 32, "depth": 2, "embed_dim": 48},
    "timm:deit_tiny_distilled_patch16_224": {"image_size": 32, "depth": 2},
    "timm:eva02_tiny_patch14_224": {"image_size": 28, "depth": 2, "embed_dim": 48},
    "timm:vit_small_patch16_rope_mixed_224": {"image_size": 32, "depth": 2, "embed_dim": 48},
    "timm:vit_small_patch16_dinov3": {"image_size": 32, "depth": 2, "embed_dim": 48},
    "timm:beit_base_patch16_224": {"image_size": 32, "depth": 2, "embed_dim": 48},
    "timm:vit_relpos_small_patch16_224": {"image_size": 32, "depth": 2, "embed_dim": 48},
    "timm:vit_pe_core_tiny_patch16_384": {"image_size": 32, "depth": 2, "embed_dim": 48},
}


LOW_RANK = ("lora", "lora-plain", "lora-reference", "mtlora")
TINY = "timm:test_vit3"


def random_images(backbone: Backbone, count: int = 2) -> torch.Tensor:
    side = backbone.preprocess.image_size
    return torch.randn(count, 3, side, side)


def low_rank(name: str) -> Adaptation:
    return Adaptation.named(name, rank=3, alpha=3.0)


@torch.no_grad()
def random_model(adaptation: Adaptation, name: str = TINY, seed: int = 0) -> MultiTaskModel:
    """Return an adapted model in which everything that would be trained is random."""
    torch.manual_seed(seed)
    model = build_model(build_backbone(name, **VITS[name]), adaptation)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter += 0.1 * torch.randn_like(parameter)
    return model
