"""Backbones by name: split anywhere they give the same features, and wrong names and files end in a sentence."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones.base import Preprocess
from facial_attributes_ros.models.backbones.build import build_backbone

from .tiny_models import VITS, random_images


@pytest.mark.parametrize("name", [*VITS, "resnet18", "mobilenet_v2"])
@torch.no_grad()
def test_prefix_and_suffix_meet_at_every_block(name: str) -> None:
    backbone = build_backbone(name, **VITS.get(name, {"image_size": 32}))
    images = random_images(backbone)
    features = backbone(images)
    assert features.shape == (2, backbone.feature_dim)
    for depth in range(len(backbone.blocks) + 1):
        torch.testing.assert_close(backbone.suffix(backbone.prefix(images, depth), depth), features)
    if name in VITS:
        torch.testing.assert_close(backbone.trunk(images), features)


@pytest.mark.parametrize("name", ["timm:eva_giant_patch14_224", "timm:beit_base_patch16_224"])
@torch.no_grad()
def test_separate_query_and_value_biases_are_folded_without_a_change(name: str) -> None:
    from facial_attributes_ros.models.backbones.vit import ViTBackbone, build

    heads = {"num_heads": 4} if "eva" in name else {"num_heads": 4, "qkv_bias": True}
    backbone = build(name, 28 if "eva" in name else 32, {"depth": 2, "embed_dim": 48, **heads}).eval()
    assert isinstance(backbone, ViTBackbone)
    for block in backbone.blocks:
        block.attn.q_bias.normal_()
        block.attn.v_bias.normal_()
    images = random_images(backbone)
    before = backbone(images)
    backbone.call_every_linear()
    assert backbone.blocks[0].attn.qkv.bias is not None
    torch.testing.assert_close(backbone(images), before)


@torch.no_grad()
def test_dinov2_gives_the_class_token_beside_the_mean_of_the_patches() -> None:
    backbone = build_backbone("dinov2-vits14", image_size=28, depth=1)
    images = random_images(backbone)
    tokens = backbone.trunk.forward_features(images)
    torch.testing.assert_close(backbone(images), torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], dim=1))
    assert backbone.feature_dim == 768


def test_preprocessing_is_the_backbones_own() -> None:
    half = (0.5, 0.5, 0.5)
    with torch.device("meta"):
        assert build_backbone("PE-Core-L-14-336").preprocess == Preprocess(336, half, half, "bilinear")
        assert build_backbone("PE-Core-B-16", image_size=112).preprocess == Preprocess(112, half, half, "bilinear")
        imagenet = Preprocess(112, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bicubic")
        assert build_backbone("dinov2-vits14").preprocess == imagenet


@pytest.mark.parametrize("name", ["PE-Core-T-16-384", "PE-Core-S-16-384", "PE-Core-B-16", "PE-Core-bigG-14-448"])
def test_every_pe_model_is_there_without_its_text_encoder(name: str) -> None:
    import open_clip

    with torch.device("meta"):
        backbone = build_backbone(name)
    assert backbone.pool is not None
    assert backbone.feature_dim == open_clip.get_model_config(name)["embed_dim"]
    assert not any("text" in part for part, _ in backbone.named_modules())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("timm:swin_tiny_patch4_window7_224", "SwinTransformer, not a plain ViT"),
        ("timm:resnet50", "not a plain ViT"),
        ("timm:no_such_model", "timm has no model"),
        ("ViT-B-32", "timm's port"),
        ("nothing", "there is no backbone 'nothing'"),
    ],
)
def test_what_is_no_backbone_is_refused_with_a_sentence(name: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        build_backbone(name)


@torch.no_grad()
def test_weights_come_from_a_file_and_tables_are_resampled_to_the_image_size(tmp_path: Path) -> None:
    source = build_backbone("timm:test_vit")
    save_file(source.trunk.state_dict() | {"head.weight": torch.zeros(5, 64)}, tmp_path / "weights.safetensors")
    torch.save({"state_dict": source.trunk.state_dict()}, tmp_path / "weights.pth")
    images = random_images(source)
    for file in ("weights.safetensors", "weights.pth"):
        torch.testing.assert_close(build_backbone("timm:test_vit", tmp_path / file)(images), source(images))
    smaller = build_backbone("timm:test_vit", tmp_path / "weights.pth", image_size=64)
    assert smaller.trunk.pos_embed.shape[1] < source.trunk.pos_embed.shape[1]


def test_open_clips_names_load_into_a_pe_backbone(tmp_path: Path) -> None:
    source = build_backbone("PE-Core-T-16-384")
    tensors = {f"visual.trunk.{name}": tensor for name, tensor in source.trunk.state_dict().items()}
    save_file(tensors | {"logit_scale": torch.ones(1), "text.ln.weight": torch.ones(4)}, tmp_path / "clip.safetensors")
    loaded = build_backbone("PE-Core-T-16-384", tmp_path / "clip.safetensors").trunk.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in source.trunk.state_dict().items())


def test_weights_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    tensors = build_backbone("timm:test_vit").trunk.state_dict()
    tensors["blocks.0.norm1.weight"] = torch.ones(3)
    tensors["blocks.9.norm1.weight"] = torch.ones(3)
    del tensors["norm.bias"]
    save_file(tensors, tmp_path / "odd.safetensors")
    with pytest.raises(UserError) as caught:
        build_backbone("timm:test_vit", tmp_path / "odd.safetensors")
    for fault in (
        "missing norm.bias",
        "unknown blocks.9.norm1.weight",
        "blocks.0.norm1.weight is (3,) instead of (64,)",
    ):
        assert fault in str(caught.value)


def test_without_a_network_the_missing_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="hub@REVISION"):
        build_backbone("PE-Core-T-16-384", "hub")
    with pytest.raises(UserError, match="40 digits"):
        build_backbone("PE-Core-T-16-384", "hub@main")
    commit = "0123456789" * 4
    named = rf"open_clip_model.safetensors of timm/PE-Core-T-16-384 at {commit} .*hf download"
    with pytest.raises(UserError, match=named):
        build_backbone("PE-Core-T-16-384", f"hub@{commit}")
    with pytest.raises(UserError, match=r"no file nowhere\.pt"):
        build_backbone("timm:test_vit", "nowhere.pt")
    with pytest.raises(UserError, match="only dinov2-vits14"):
        build_backbone("timm:test_vit", "asset")
