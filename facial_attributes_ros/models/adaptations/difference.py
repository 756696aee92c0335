"""A model that continues another one, stored as a single difference from the weights that the first one started from.

So it loads without its parent, whatever becomes of that. What was not trained again is stored as the parent stores it,
number by number. The matrices of adapters are joined with those of the parent: with

    W1 = s1 (W0 + O1 I1) of the parent, and W2 = s2 (W1 + O2 I2) after DoRA (s2 = 1 after LoRA),
    W2 = s2 s1 (W0 + [O1, O2 / s1] [I1; I2]),

where s scales rows. That is exact, and small as long as the ranks are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from typing_extensions import Self

from facial_attributes_ros.models.adaptations.ladder import DEFAULT_ADAPTER, adapter_layers
from facial_attributes_ros.models.adaptations.low_rank import compress
from facial_attributes_ros.models.arrays import FACTORS, IN, OUT, SCALE
from facial_attributes_ros.models.checkpoint import load_tensors
from facial_attributes_ros.models.registry import load_model

_LEAST_SCALE = 1e-6
"""Rows that the parent scales by less are stored as whole matrices, since dividing by that would not be exact."""


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """A changed matrix: `scale[:, None] * (before + outer @ inner)`.

    Attributes:
        outer: float32 (out, rank).
        inner: float32 (rank, in).
        scale: float32 (out,), None for 1.
    """

    outer: Tensor
    inner: Tensor
    scale: Tensor | None = None

    @classmethod
    def stored(cls, name: str, tensors: Mapping[str, Tensor]) -> Self | None:
        """Return the factors of a matrix as a file has them, None if it has none."""
        if name + OUT not in tensors:
            return None
        scale = tensors.get(name + SCALE)
        return cls(tensors[name + OUT].float(), tensors[name + IN].float(), None if scale is None else scale.float())

    def then(self, later: Self) -> Self | None:
        """Return both changes as one, None if the first scales a row by nearly nothing."""
        outer, scale = later.outer, later.scale
        if self.scale is not None:
            if bool((self.scale.abs() < _LEAST_SCALE).any()):
                return None
            outer = outer / self.scale[:, None]
            scale = self.scale if scale is None else self.scale * scale
        joined = torch.cat([self.outer, outer], dim=1), torch.cat([self.inner, later.inner])
        return type(self)(*joined, scale)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Return the factors by their names in a file."""
        found = {name + OUT: self.outer, name + IN: self.inner}
        return found if self.scale is None else found | {name + SCALE: self.scale}

    @property
    def size(self) -> int:
        """How many numbers they are."""
        return self.outer.numel() + self.inner.numel() + (0 if self.scale is None else self.scale.numel())


def adapter_factors(model: nn.Module) -> dict[str, Factors]:
    """Return what the adapters of a model change, by the names of the weights after `ladder.merge`."""
    names = {id(module): name for name, module in model.named_modules()}
    found = {}
    for layer in adapter_layers(model):
        outer = layer.lora_B[DEFAULT_ADAPTER].weight.detach().float() * layer.scaling[DEFAULT_ADAPTER]
        inner = layer.lora_A[DEFAULT_ADAPTER].weight.detach().float()
        scale = None
        if layer.use_dora[DEFAULT_ADAPTER]:
            magnitude = layer.lora_magnitude_vector[DEFAULT_ADAPTER].weight.detach().float()
            weight = layer.get_base_layer().weight.detach().float()
            scale = (magnitude / (weight + outer @ inner).norm(dim=1)).cpu()
        found[f"{names[id(layer)]}.weight"] = Factors(outer.cpu(), inner.cpu(), scale)
    return found


def own_difference(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a model's folder as one difference from its starting weights, adapters merged.

    Raises:
        UserError: the model is missing or damaged.
    """
    stored = load_tensors(folder)
    model, _ = load_model(folder, merged=False)
    adapters = adapter_factors(model)
    if not adapters:
        return stored
    inside = tuple(name.removesuffix("weight") for name in adapters)
    rest = {name: tensor for name, tensor in stored.items() if not name.startswith(inside)}
    return rest | {key: tensor for name, factors in adapters.items() for key, tensor in factors.tensors(name).items()}


def stored_difference(
    trained: Mapping[str, Tensor],
    parent: Mapping[str, Tensor],
    before: Mapping[str, Tensor],
    adapters: Mapping[str, Factors],
    start: Mapping[str, Tensor],
    rank: int | None = None,
) -> dict[str, Tensor]:
    """Return what to store of a model that continues another one.

    Args:
        trained: state of the model, adapters merged.
        parent: its parent's difference from the starting weights, from `own_difference`.
        before: state of the parent, by the same names.
        adapters: what adapters changed since, from `adapter_factors`.
        start: the starting weights by the names of the state.
        rank: of the stored differences of matrices that were trained in full; None stores them whole.

    Returns:
        The tensors for `low_rank.expand`. Only those of `rank` are not exact.
    """
    stored: dict[str, Tensor] = {}
    again: dict[str, Tensor] = {}
    for name, tensor in trained.items():
        own = {key: parent[key] for key in (name, *(name + suffix for suffix in FACTORS)) if key in parent}
        if name in before and torch.equal(tensor, before[name]):
            stored |= own
        elif (factors := _joined(name, own, adapters)) is not None and factors.size < tensor.numel():
            stored |= factors.tensors(name)
        else:
            again[name] = tensor
    return stored | (again if rank is None else compress(again, start, rank))


def _joined(name: str, own: Mapping[str, Tensor], adapters: Mapping[str, Factors]) -> Factors | None:
    """Return the change of a matrix by its parent and by an adapter; None if it is no such change."""
    later = adapters.get(name)
    if later is None or name in own:
        return None
    first = Factors.stored(name, own)
    return later if first is None else first.then(later)
