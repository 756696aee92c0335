"""Task-specific streams in the last block and the attention pooling (MTLoRA, Agiza et al., CVPR 2024).

In the last block every task runs its own attention, normalisation and residual, and a linear layer gives task t
    y_t = W x_shared + b + B_t A_t x_t:
the frozen product is computed once, on the shared stream, and serves all tasks. In the pooling, which each task enters
with its own tokens and its own query, a linear layer gives y_t = W x_t + b + B_t A_t x_t.

Any block runs the streams as it is, one after the other, the shared one first: only its linear layers are exchanged.
Only the frozen products pass from one stream to another, so that the stream of a task that is not wanted can be
skipped, in an exported graph too.
"""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from typing_extensions import Self

from facial_attributes_ros.models.backbones.base import Backbone

SHARED: Final = "shared"
"""Name of the stream without low-rank updates, whose products all tasks use."""
FUSED_PARTS: Final = {"qkv": 3, "kv": 2}
"""Layers with several projections stacked; each projection has low-rank matrices of its own."""


class TaskLinear(nn.Module):
    """A frozen linear layer with one low-rank update per task.

    Args:
        base: the frozen layer; its weights are used in place.
        tasks: one stream each.
        rank: rank of every update.
        alpha: updates are scaled by alpha / rank.
        parts: number of projections fused in `base`, equally high; each has an update of this rank.
        shared: whether `base` is computed for the shared stream only, which then has to run first.

    Attributes:
        stream: the task whose stream runs, `SHARED`, or None for the frozen layer by itself.
        product: output of `base` for the shared stream.
    """

    def __init__(
        self, base: nn.Linear, tasks: Sequence[str], rank: int, alpha: float, parts: int = 1, shared: bool = True
    ) -> None:
        super().__init__()
        self.base = base
        self.rank, self.scale, self.parts, self.shared = rank, alpha / rank, parts, shared
        weight = base.weight
        self.down = nn.ParameterDict({task: weight.new_empty(parts * rank, base.in_features) for task in tasks})
        self.up = nn.ParameterDict({task: weight.new_zeros(base.out_features, rank) for task in tasks})
        for matrix in self.down.values():
            nn.init.kaiming_uniform_(matrix, a=math.sqrt(5))
        self.stream: str | None = None
        self.product: Tensor | None = None

    def update(self, x: Tensor, task: str) -> Tensor:
        """Return B_t A_t x of one task, scaled: (…, in) to (…, out)."""
        inner = functional.linear(x, self.down[task]).chunk(self.parts, dim=-1)
        matrices = self.up[task].chunk(self.parts)
        outer = [functional.linear(part, matrix) for part, matrix in zip(inner, matrices, strict=True)]
        return self.scale * (torch.cat(outer, dim=-1) if self.parts > 1 else outer[0])

    def forward(self, x: Tensor) -> Tensor:
        """Map the stream that runs from (N, …, in) to (N, …, out)."""
        if self.stream is None:
            frozen: Tensor = self.base(x)
            return frozen
        if self.stream == SHARED:
            self.product = self.base(x)
            return self.product
        product = self.product if self.shared else self.base(x)
        return product + self.update(x, self.stream)  # type: ignore[operator]


class TaskStreams(nn.Module):
    """Runs the last block and the pooling of a backbone once per task.

    The layers of the backbone are replaced by `TaskLinear`s in place. With an attention pooling, the features are the
    output of the pooling, without a projection into the joint embedding of images and text.

    Attributes:
        latents: with attention pooling, the query of each task.
        feature_dim: length of every task's features.
    """

    def __init__(self, backbone: Backbone, tasks: Sequence[str], rank: int, alpha: float, called: Iterable[str]):
        super().__init__()
        pool: Any = backbone.pool
        self.has_pool = pool is not None
        self.latents = nn.ParameterDict()
        for name in _linears(backbone, backbone.blocks[-1], called):
            _exchange(backbone, name, tasks, rank, alpha, shared=True)
        if self.has_pool:
            for name in _linears(backbone, pool, called):
                _exchange(backbone, name, tasks, rank, alpha, shared=False)
            self.latents = nn.ParameterDict({task: pool.latent.detach().clone() for task in tasks})
        self.feature_dim: int = pool.out_features if self.has_pool else backbone.feature_dim

    @staticmethod
    def layers(backbone: Backbone) -> list[TaskLinear]:
        """Return the task layers of a backbone."""
        return [module for module in backbone.modules() if isinstance(module, TaskLinear)]

    def forward(self, backbone: Any, tokens: Tensor, tasks: tuple[str, ...]) -> dict[str, Tensor]:
        """Return each task's features (N, feature_dim) for the input (N, T, D) of the last block."""
        if not tasks:
            return {}

        def last_block(shared: Tensor) -> tuple[Tensor, ...]:
            block, extra = backbone.blocks[-1], backbone.block_arguments()[-1]
            with _Streams(block) as streams:
                streams.run(SHARED)
                block(shared, **extra)
                return tuple(block(shared, **extra) for _ in map(streams.run, tasks))

        if backbone.gradient_checkpointing and self.training and torch.is_grad_enabled():
            own: tuple[Tensor, ...] = checkpoint(last_block, tokens, use_reentrant=False)
        else:
            own = last_block(tokens)
        finish = partial(self._pool, backbone) if self.has_pool else lambda tokens, _: backbone.finish(tokens)
        return {task: finish(stream, task) for task, stream in zip(tasks, own, strict=True)}

    def _pool(self, backbone: Any, tokens: Tensor, task: str) -> Tensor:
        """Attention pooling of timm's `AttentionPoolLatent` with the query of a task: (N, L, D) to (N, D)."""
        pool = backbone.pool
        tokens = backbone.pooled_tokens(backbone.normalise(tokens))
        count, length, _ = tokens.shape
        if pool.pos_embed is not None:
            tokens = tokens + pool.pos_embed.unsqueeze(0)
        with _Streams(pool) as streams:
            streams.run(task)
            latent = self.latents[task].expand(count, -1, -1)
            query = pool.q(latent).reshape(count, pool.latent_len, pool.num_heads, pool.head_dim)
            key_value = pool.kv(tokens).reshape(count, length, 2, pool.num_heads, pool.head_dim)
            key, value = key_value.permute(2, 0, 3, 1, 4).unbind(0)
            query, key = pool.q_norm(query.transpose(1, 2)), pool.k_norm(key)
            mixed = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)
            pooled = pool.proj_drop(pool.proj(mixed.reshape(count, pool.latent_len, -1)))
            if pool.mlp is not None:
                pooled = pooled + pool.mlp(pool.norm(pooled))
        pooled = pooled[:, 0] if pool.pool == "token" else pooled.mean(dim=1)
        features: Tensor = backbone.after_pool(pooled)
        return features


class _Streams:
    """Selects the stream that runs in the task layers of a module; at the end none runs."""

    def __init__(self, module: nn.Module) -> None:
        self.layers = [layer for layer in module.modules() if isinstance(layer, TaskLinear)]

    def run(self, stream: str) -> None:
        for layer in self.layers:
            layer.stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for layer in self.layers:
            layer.stream = layer.product = None


def _linears(backbone: Backbone, module: nn.Module, called: Iterable[str]) -> list[str]:
    """Return the names inside the backbone of the linear layers of one of its modules that its forward calls."""
    wanted = set(called)
    inside = {id(part) for part in module.modules()}
    return [name for name, part in backbone.named_modules() if name in wanted and id(part) in inside]


def _exchange(backbone: Backbone, name: str, tasks: Sequence[str], rank: int, alpha: float, shared: bool) -> None:
    parent, _, attribute = name.rpartition(".")
    base: Any = backbone.get_submodule(name)
    parts = FUSED_PARTS.get(attribute, 1)
    setattr(backbone.get_submodule(parent), attribute, TaskLinear(base, tasks, rank, alpha, parts, shared))
