"""The interface of a backbone, the network that turns a batch of crops into features.

A backbone is split at its blocks, so that everything before block k can run once and be cached while the rest is
trained.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True, slots=True)
class Preprocess:
    """The input images of a backbone.

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
        name: its name for `build_backbone`.
        trunk: the wrapped network; parameter names begin with `trunk.`.
        preprocess: the form of its input images.
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
        """The normalisations after the last block (and after the pooling) that have parameters."""
        return []

    @abstractmethod
    def stem(self, images: Tensor) -> Tensor:
        """Everything before block 0: float32 (N, 3, S, S), normalised, to tokens (N, T, D) or a map (N, C, H, W)."""

    @abstractmethod
    def finish(self, tokens: Tensor) -> Tensor:
        """Everything after the last block: from its output to features (N, feature_dim)."""

    def block_arguments(self) -> list[dict[str, Tensor]]:
        """Return the constant inputs of each block besides the tokens: rotary or relative position tables."""
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
    """Run a batch through a backbone on the meta device, which computes shapes only; hooks are called as usual."""
    tensors = {name: tensor.to("meta") for name, tensor in (*backbone.named_parameters(), *backbone.named_buffers())}
    side = backbone.preprocess.image_size
    with torch.no_grad():
        functional_call(backbone, tensors, torch.empty(count, 3, side, side, device="meta"))
