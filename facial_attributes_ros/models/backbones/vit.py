"""Vision Transformers of timm and open_clip as backbones."""

import inspect
import logging
from typing import Any, Final

import torch
from torch import Tensor, nn
from typing_extensions import override

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones.architecture import DINOV2, TIMM_PREFIX
from facial_attributes_ros.models.backbones.base import Backbone, Preprocess

DINOV2_TIMM: Final = "vit_small_patch14_dinov2"
DINOV2_IMAGE_SIZE: Final = 112

logger = logging.getLogger(__name__)


class ViTBackbone(Backbone):
    """A plain ViT of timm: patches, blocks of one width, a normalisation, a pooling.

    Attributes:
        pooling: `own` for that of the trunk, `mean` for the mean of the patch tokens, `class+mean` for the class token
            and the mean of the patch tokens side by side (Oquab et al., 2023, DINOv2, linear probing).
        projection: open_clip's layer after the trunk, or an identity.
    """

    def __init__(
        self, name: str, trunk: Any, preprocess: Preprocess, pooling: str = "own", projection: Any = None
    ) -> None:
        width = int(trunk.embed_dim)
        super().__init__(name, trunk, preprocess, width)
        self.pooling = pooling
        self.projection: nn.Module = projection if projection is not None else nn.Identity()
        self.width = width
        self.feature_dim = self._feature_dim()

    def _feature_dim(self) -> int:
        if self.pooling == "class+mean":
            return 2 * self.width
        linears = [
            module
            for part in (self.trunk.head, self.projection)
            for module in part.modules()
            if isinstance(module, nn.Linear)
        ]
        return linears[-1].out_features if linears else self.width

    @property
    @override
    def blocks(self) -> list[nn.Module]:
        return list(self.trunk.blocks)

    @property
    @override
    def pool(self) -> nn.Module | None:
        from timm.layers.attention_pool import AttentionPoolLatent

        pool = getattr(self.trunk, "attn_pool", None)
        return pool if isinstance(pool, AttentionPoolLatent) else None

    @property
    @override
    def final_norm(self) -> list[nn.Module]:
        norms = [getattr(self.trunk, name, None) for name in ("norm", "fc_norm")]
        return [norm for norm in norms if isinstance(norm, nn.Module) and any(True for _ in norm.parameters())]

    @override
    def stem(self, images: Tensor) -> Tensor:
        trunk = self.trunk
        tokens = trunk.patch_embed(images)
        if hasattr(trunk, "_pos_embed"):
            tokens = trunk._pos_embed(tokens)
            # Rotary models return their table with the tokens; it is the same for every image.
            tokens = tokens[0] if isinstance(tokens, tuple) else getattr(trunk, "patch_drop", nn.Identity())(tokens)
            normalised: Tensor = trunk.norm_pre(tokens)
            return normalised
        parts: list[Tensor] = (
            [tokens] if trunk.cls_token is None else [trunk.cls_token.expand(len(tokens), -1, -1), tokens]
        )
        embedded = torch.cat(parts, dim=1)
        return embedded if getattr(trunk, "pos_embed", None) is None else embedded + trunk.pos_embed

    @override
    def block_arguments(self) -> list[dict[str, Tensor]]:
        trunk = self.trunk
        depth = len(trunk.blocks)
        if getattr(trunk, "rope", None) is not None:
            rope = trunk.rope
            # The table is stored if the input size is fixed.
            fixed = hasattr(rope, "feat_shape") and not trunk.dynamic_img_size
            table = rope.get_embed() if fixed else rope.get_embed(shape=trunk.patch_embed.grid_size)
            # Mixed rotary embeddings are learned per block: (depth, heads, T, D).
            return [{"rope": table[i] if getattr(trunk, "rope_mixed", False) else table} for i in range(depth)]
        if getattr(trunk, "rel_pos_bias", None) is not None:
            return [{"shared_rel_pos_bias": trunk.rel_pos_bias()}] * depth
        if getattr(trunk, "shared_rel_pos", None) is not None:
            return [{"shared_rel_pos": trunk.shared_rel_pos.get_bias()}] * depth
        return [{}] * depth

    def normalise(self, tokens: Tensor) -> Tensor:
        """Apply the normalisation after the last block to tokens (N, T, D)."""
        normalised: Tensor = self.trunk.norm(tokens)
        return normalised

    def pooled_tokens(self, tokens: Tensor) -> Tensor:
        """Return the part of the normalised tokens (N, T, D) that enters the attention pooling."""
        # EVA-style trunks pool over the class token too; the others only if they say so.
        keeps_prefix = getattr(self.trunk, "pool_include_prefix", True)
        return tokens if keeps_prefix else tokens[:, self.trunk.num_prefix_tokens :]

    def after_pool(self, pooled: Tensor) -> Tensor:
        """Apply the layers between the attention pooling and the projection: (N, D) to (N, D)."""
        normalised: Tensor = self.trunk.head_drop(self.trunk.fc_norm(pooled))
        return normalised

    def drop_projection(self) -> None:
        """Let features be the pooling's output, without the projection into the space shared with text."""
        self.trunk.head, self.projection = nn.Identity(), nn.Identity()
        self.feature_dim = self._feature_dim()

    @override
    def finish(self, tokens: Tensor) -> Tensor:
        tokens = self.normalise(tokens)
        patches = tokens[:, self.trunk.num_prefix_tokens :]
        if self.pooling == "class+mean":
            return torch.cat((tokens[:, 0], patches.mean(dim=1)), dim=1)
        if self.pooling == "mean":
            return patches.mean(dim=1)
        # With `num_classes=0` the trunk's own head is an identity; in open_clip's towers it is the projection.
        features = self.trunk.forward_head(tokens, pre_logits=False)
        projected: Tensor = self.projection(features)
        return projected

    def call_every_linear(self) -> None:
        """Give each fused qkv layer its bias, so that attention calls it as a module.

        EVA's and BEiT's attention read `qkv.weight` and add separate q and v biases, which would bypass an adapter
        put around the layer. The key's bias is a zero that is now an ordinary, frozen parameter.
        """
        for block in self.blocks:
            attention: Any = getattr(block, "attn", None)
            if getattr(attention, "q_bias", None) is None or getattr(attention, "qkv", None) is None:
                continue
            old = attention.qkv
            bias = torch.cat((attention.q_bias.detach(), attention.k_bias, attention.v_bias.detach()))
            attention.qkv = nn.Linear(old.in_features, old.out_features, device=old.weight.device)
            attention.qkv.weight, attention.qkv.bias = old.weight, nn.Parameter(bias)
            attention.q_bias = attention.k_bias = attention.v_bias = None


def in_open_clip(name: str) -> bool:
    """Return True if open_clip has a model of this name."""
    import open_clip

    # Not `get_model_config`, which would access the hub for some names.
    return name in open_clip.list_models()


def build(name: str, image_size: int | None, architecture: dict[str, Any]) -> ViTBackbone:
    """Build a ViT backbone with random weights.

    Raises:
        UserError: the name is unknown, or it is not a plain ViT.
    """
    if name == DINOV2:
        trunk = _timm_trunk(DINOV2_TIMM, image_size or DINOV2_IMAGE_SIZE, architecture)
        return ViTBackbone(name, trunk, _timm_preprocess(trunk), pooling="class+mean")
    if name.startswith(TIMM_PREFIX):
        trunk = _timm_trunk(name.removeprefix(TIMM_PREFIX), image_size, architecture)
        pooling = "own" if trunk.global_pool else "mean"
        return ViTBackbone(name, trunk, _timm_preprocess(trunk), pooling=pooling)
    return _open_clip_backbone(name, image_size, architecture)


def _timm_trunk(name: str, image_size: int | None, architecture: dict[str, Any]) -> Any:
    import timm

    if not timm.is_model(name):
        raise UserError(f"timm has no model {name!r}; `python -c 'import timm; print(timm.list_models())'` lists all.")
    size = {} if image_size is None else {"img_size": image_size}
    if size and not _takes_image_size(name):
        raise UserError(f"{name} is not a plain ViT of timm, so it can't be a backbone here; choose a vit_… model.")
    try:
        trunk = timm.create_model(name, pretrained=False, **{"num_classes": 0, **size, **architecture})
    except (AssertionError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"timm can't build {name} with {size | architecture}: {error}.") from error
    _check_plain(name, trunk)
    return trunk


def _takes_image_size(name: str) -> bool:
    import timm

    module = inspect.getmodule(timm.model_entrypoint(name))
    return module is not None and module.__name__.rpartition(".")[2] in {
        "vision_transformer",
        "vision_transformer_hybrid",
        "vision_transformer_relpos",
        "deit",
        "eva",
        "beit",
    }


def _check_plain(name: str, trunk: Any) -> None:
    from timm.models.beit import Beit
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer
    from timm.models.vision_transformer_relpos import VisionTransformerRelPos

    if not isinstance(trunk, (VisionTransformer, Eva, Beit, VisionTransformerRelPos)):
        raise UserError(
            f"{name} is a {type(trunk).__name__}, not a plain ViT of timm (blocks of one width over all tokens), so it "
            "can't be a backbone here; choose a vit_…, deit…, eva… or beit… model."
        )
    patches: Any = trunk.patch_embed
    if 0 in patches.grid_size:
        raise UserError(f"images of {patches.img_size[0]} pixels are smaller than a patch of {name}.")


def _timm_preprocess(trunk: Any) -> Preprocess:
    from timm.data.config import resolve_model_data_config

    config = resolve_model_data_config(trunk)  # type: ignore[no-untyped-call]
    side = int(trunk.patch_embed.img_size[0])
    return Preprocess(side, config["mean"], config["std"], config["interpolation"])


def _open_clip_backbone(name: str, image_size: int | None, architecture: dict[str, Any]) -> ViTBackbone:
    import open_clip
    from open_clip.model import _build_vision_tower

    config = open_clip.get_model_config(name)
    if "timm_model_name" not in config["vision_cfg"]:
        raise UserError(
            f"the image tower of {name} is open_clip's own; use timm's port of it as a backbone (timm:vit_…_clip_…)."
        )
    # Only the image tower is built: the text encoder is as large, and only zero-shot classification needs it.
    vision = {**config["vision_cfg"], **architecture, "timm_model_pretrained": False}
    try:
        tower = _build_vision_tower(config["embed_dim"], vision)
    except (AssertionError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"open_clip can't build {name} with {architecture}: {error}.") from error
    trunk = tower.trunk
    _check_plain(name, trunk)
    if any(True for _ in tower.head.parameters()):
        raise UserError(f"the image tower of {name} ends in a trained projection, which is not supported here.")
    if image_size is not None:
        trunk.set_input_size(img_size=(image_size, image_size))
    tags = open_clip.list_pretrained_tags_by_model(name)
    published = open_clip.get_pretrained_cfg(name, tags[0]) if tags else {}
    own = _timm_preprocess(trunk)
    preprocess = Preprocess(
        own.image_size,
        published.get("mean", own.mean),
        published.get("std", own.std),
        published.get("interpolation", own.interpolation),
    )
    return ViTBackbone(name, trunk, preprocess, projection=tower.head)
