"""Of a backbone's constructor only sizes and switches can be set, whoever wrote the model."""

import json
from pathlib import Path
from typing import Any

import pytest

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones.architecture import check_architecture
from facial_attributes_ros.models.backbones.build import build_backbone
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.spec import ModelSpec

VIT = "timm:vit_tiny_patch16_224"
TOWER = "PE-Core-T-16-384"


@pytest.mark.parametrize(
    ("backbone", "architecture", "told"),
    [
        (VIT, {"checkpoint_path": "evil.pth"}, "'checkpoint_path', which may not be set"),
        (VIT, {"pretrained_cfg_overlay": {"file": "evil.pth"}}, "'pretrained_cfg_overlay', which"),
        (VIT, {"pretrained_cfg": {"hf_hub_id": "a/b"}}, "'pretrained_cfg', which"),
        (VIT, {"pretrained": True}, "'pretrained', which"),
        (VIT, {"cache_dir": "cache"}, "'cache_dir', which"),
        (VIT, {"block_fn": "os.system"}, "'block_fn', which"),
        (VIT, {"name": "x"}, "'name', which"),
        (VIT, {"weights": "evil.pth"}, "'weights', which"),
        ("dinov2-vits14", {"checkpoint_path": "evil.pth"}, "'checkpoint_path', which"),
        (TOWER, {"timm_model_pretrained": True}, "'timm_model_pretrained', which"),
        (TOWER, {"timm_model_name": "vit_tiny_patch16_224"}, "'timm_model_name', which"),
        (TOWER, {"hf_model_name": "a/b"}, "'hf_model_name', which"),
        ("resnet18", {"weights": "IMAGENET1K_V1"}, "'weights', which"),
        ("mobilenet_v2", {"block": "x"}, "'block', which"),
        (VIT, {"depth": 10**9}, "depth .* must be a whole number from 1 to 128, not 1000000000"),
        (VIT, {"depth": True}, "depth .* must be a whole number"),
        (VIT, {"depth": "2"}, "depth .* must be a whole number"),
        (VIT, {"mlp_ratio": float("nan")}, "mlp_ratio .* must be a number from 0.1 to 16"),
        (VIT, {"mlp_ratio": 10**400}, "mlp_ratio .* must be a number"),
        (VIT, {"qkv_bias": 1}, "qkv_bias .* must be true or false"),
        (VIT, {"global_pool": ["avg"]}, "global_pool .* must be one of"),
        (VIT, {"ref_feat_shape": [4]}, "ref_feat_shape .* must be 2 whole numbers"),
        ("mobilenet_v2", {"width_mult": 0}, "width_mult .* must be a number from"),
    ],
)
def test_what_is_not_a_size_or_switch_never_reaches_a_library(
    backbone: str, architecture: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=told):
        check_architecture(backbone, architecture)
    with pytest.raises(ValueError, match=told):
        ModelSpec("evil", BackboneReference(backbone, architecture=architecture), 32, (0.5,) * 3, (0.5,) * 3)
    spec = ModelSpec("good", BackboneReference(backbone), 32, (0.5,) * 3, (0.5,) * 3).to_json()
    spec["backbone"]["architecture"] = architecture
    (tmp_path / "model.json").write_text(json.dumps(spec))
    with pytest.raises(UserError, match=r"model\.json: "):
        ModelSpec.read(tmp_path)


@pytest.mark.parametrize("key", ["checkpoint_path", "timm_model_pretrained", "block_fn"])
def test_a_call_is_held_to_it_too(key: str) -> None:
    with pytest.raises(UserError, match=f"'{key}', which may not be set"):
        build_backbone(VIT, image_size=32, **{key: "x"})


@pytest.mark.parametrize(
    ("name", "architecture", "told"),
    [
        (VIT, {"embed_dim": 48, "num_heads": 7}, "can't build"),
        (VIT, {"class_token": False}, "can't build"),
        ("timm:eva02_tiny_patch14_224", {"reg_tokens": 4}, "can't build"),
        ("timm:vit_small_patch16_dinov3", {"embed_dim": 48, "num_heads": 4, "patch_size": 7}, "can't run"),
        ("timm:vit_small_patch16_dinov3", {"embed_dim": 15, "num_heads": 5}, "can't run|can't build"),
    ],
)
def test_an_allowed_architecture_that_cannot_be_is_told(name: str, architecture: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        build_backbone(name, image_size=32, depth=1, **architecture)


@pytest.mark.parametrize(
    "name",
    ["timm:hf-hub:a/b", "timm:hf_hub:a/b", "timm:local-dir:/tmp", "hf-hub:a/b", "local-dir:/tmp", "../x", "timm:../x"],
)
def test_a_name_that_leads_elsewhere_is_no_backbone(name: str) -> None:
    with pytest.raises(UserError, match="has no model|no backbone"):
        build_backbone(name, image_size=32)


def test_a_picture_smaller_than_a_patch_is_told() -> None:
    with pytest.raises(UserError, match="smaller than a patch"):
        build_backbone(VIT, image_size=8)
