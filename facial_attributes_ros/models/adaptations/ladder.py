"""The ladder of adaptations: each is one small object that describes which part of a model is trained.

LoRA: Hu et al., 2022, h = W x + B A x. DoRA: Liu et al., 2024, the same with a learned length for every row of W + B A.
MTLoRA: Agiza et al., 2024, see `mtlora`. The low-rank layers are peft's; only the task streams are our own.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from torch import Tensor, nn
from typing_extensions import Self

from facial_attributes_ros.attributes import TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.mtlora import TaskStreams
from facial_attributes_ros.models.backbones.base import Backbone, run_without_weights
from facial_attributes_ros.models.heads import build_heads
from facial_attributes_ros.models.multitask import MultiTaskModel

EVERY_BLOCK: Final = -1
"""As `Adaptation.blocks`: the whole backbone."""
DEFAULT_ADAPTER: Final = "default"
POOL_LAYERS: Final[dict[str, tuple[str, ...]]] = {"all": (), "reference": ("q", "kv"), "mlp": ("q", "kv", "proj")}
"""Layers of the pooling without an adapter: none; those that Sessa's code fuses in a bare parameter; and those and the
output layer, on which the adapter of Sessa's code never acts."""
_KINDS: Final[dict[object, str]] = {bool: "true or false", int: "a whole number", float: "a number", str: "a name"}
_PROBE_BATCH: Final = 6
"""Even, so that it is never the side of a table of relative positions, which is odd."""


@dataclass(frozen=True, slots=True)
class Adaptation:
    """The part of a model that is trained besides the heads.

    Attributes:
        name: as in `NAMES`, or `ft-K` for any K.
        blocks: number of last blocks that are trained in full, together with the attention pooling, or the final
            normalisation if there is no pooling; `EVERY_BLOCK` for the whole backbone.
        rank: rank of the low-rank matrices; 0 for none.
        alpha: their product is scaled by alpha / rank.
        dropout: fraction of a low-rank layer's input dropped in training.
        dora: whether the length of each row is trained too.
        pool_layers: which linear layers of the attention pooling carry low-rank matrices, a key of `POOL_LAYERS`.
        task_specific: whether each task has a stream of its own in the last block and the attention pooling.
        batch_norm: whether the heads normalise their input.
        hidden: whether the heads have a hidden layer; without it they are linear.
        loraplus_ratio: learning rate of the B matrices over that of the A matrices (LoRA+, Hayou et al., 2024).
        merged: whether adapters were merged into the weights, and the model is stored as its difference from the
            starting weights, see `adaptations.difference`; so are models that continue another one.
    """

    name: str
    blocks: int = 0
    rank: int = 0
    alpha: float = 0.0
    dropout: float = 0.0
    dora: bool = False
    pool_layers: str = "all"
    task_specific: bool = False
    batch_norm: bool = True
    hidden: bool = True
    loraplus_ratio: float = 1.0
    merged: bool = False

    def __post_init__(self) -> None:
        """Check types and ranges, as values may come from people's files.

        Raises:
            UserError: a value is not of its type or out of its range.
        """
        for field in fields(self):
            value, kind = getattr(self, field.name), field.type
            fits = isinstance(value, (int, float) if kind is float else kind)  # type: ignore[arg-type]
            if not fits or (isinstance(value, bool) and kind is not bool):
                raise UserError(f"an adaptation's {field.name} is {_KINDS[kind]}, not {value!r}.")
        if self.pool_layers not in POOL_LAYERS:
            raise UserError(f"pool_layers is one of {', '.join(POOL_LAYERS)}, not {self.pool_layers!r}.")
        checks = {
            "blocks": (EVERY_BLOCK <= self.blocks <= 1000, "-1 (all of them) to 1000"),
            "rank": (0 <= self.rank <= 16384, "0 (none) to 16384"),
            "alpha": (0 <= self.alpha <= 1e6, "0 to 1e6"),
            "dropout": (0 <= self.dropout < 1, "from 0 to below 1"),
            "loraplus_ratio": (0 < self.loraplus_ratio <= 1e6, "above 0, up to 1e6"),
        }
        for name, (fits, wanted) in checks.items():
            if not fits:
                raise UserError(f"an adaptation's {name} is {wanted}, not {getattr(self, name)!r}.")

    @classmethod
    def named(cls, name: str, **changes: Any) -> Self:
        """Return the adaptation of a name, with some fields changed.

        Raises:
            UserError: there is no adaptation of that name, or no such field.
        """
        if match := re.fullmatch(r"ft-([1-9][0-9]{0,3})", name):
            found = cls(name, blocks=int(match.group(1)))
        elif name in _NAMED:
            found = cls(name, **_NAMED[name])
        else:
            raise UserError(f"there is no adaptation {name!r}; choose {', '.join(NAMES)}.")
        known = [field.name for field in fields(cls)]
        if unknown := [change for change in changes if change not in known]:
            raise UserError(f"an adaptation has {', '.join(known)}, but no {unknown[0]}.")
        return replace(found, **changes)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the adaptation of `to_dict`; missing fields are those of the name.

        Raises:
            UserError: the name or a field is unknown.
        """
        return cls.named(str(values.get("name", "")), **{key: value for key, value in values.items() if key != "name"})

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain values, for model.json."""
        return asdict(self)


_LOW_RANK: Final[dict[str, Any]] = {"rank": 64, "alpha": 64.0, "dropout": 0.5, "dora": True, "loraplus_ratio": 6.0}
_NAMED: Final[dict[str, dict[str, Any]]] = {
    "zero-shot": {},
    "lp": {"batch_norm": False},
    "lora": _LOW_RANK,
    "dora": _LOW_RANK,
    "lora-plain": _LOW_RANK | {"dora": False},
    "lora-reference": _LOW_RANK | {"pool_layers": "reference"},
    "mtlora": _LOW_RANK | {"task_specific": True},
    "full": {"blocks": EVERY_BLOCK},
}
NAMES: Final = (*_NAMED, "ft-K")
"""Names for `Adaptation.named`; `lora` is that of the ladder (DoRA trained with LoRA+), `dora` the same."""


def build_model(
    backbone: Backbone,
    adaptation: Adaptation,
    tasks: Sequence[str] = TASKS,
    age_in_years: bool = False,
    expression: bool = False,
) -> MultiTaskModel:
    """Put new heads of the right size on a backbone and apply an adaptation to it, in place.

    With `age_in_years`, the head of age has one output, see `models.regression`; with `expression`, there is a head of
    visible expressions as well, see `models.expression`.

    Raises:
        UserError: a task is unknown, or the adaptation doesn't suit the backbone.
    """
    dim = backbone.feature_dim
    if adaptation.task_specific and backbone.pool is not None:
        dim = int(backbone.pool.out_features)  # type: ignore[arg-type]
    heads = build_heads(
        dim, tasks, adaptation.hidden, adaptation.batch_norm, age_in_years=age_in_years, expression=expression
    )
    model = MultiTaskModel(backbone, heads)
    apply(model, adaptation)
    return model.eval()


def apply(model: MultiTaskModel, adaptation: Adaptation) -> None:
    """Freeze the parameters that an adaptation doesn't train and add its layers, in place.

    Task streams that a model has already are kept; an adaptation of low rank trains them further.

    Raises:
        UserError: the model has adapters that are not merged, or the adaptation doesn't suit the backbone.
    """
    if adapter_layers(model):
        raise UserError("the model has adapters already; merge them first.")
    backbone = model.backbone
    backbone.requires_grad_(adaptation.blocks == EVERY_BLOCK)
    if adaptation.blocks > 0:
        _train_last_blocks(backbone, adaptation.blocks)
    if adaptation.rank:
        called = called_linears(backbone)
        if not called:
            raise UserError(f"{backbone.name} has no linear layers in its blocks, so low-rank adapters don't suit it.")
        if not adaptation.merged:
            _inject(backbone, adaptation, called, adaptation.task_specific or model.streams is not None)
        if model.streams is not None:
            model.streams.requires_grad_(True)
            for layer in model.streams.layers(backbone):
                layer.down.requires_grad_(True)
                layer.up.requires_grad_(True)
        elif adaptation.task_specific:
            _add_streams(model, adaptation, called)
    model.heads.requires_grad_(adaptation.name != "zero-shot")
    _check_heads(model)


def _train_last_blocks(backbone: Backbone, count: int) -> None:
    if count > len(backbone.blocks):
        raise UserError(f"{backbone.name} has {len(backbone.blocks)} blocks, so its last {count} can't be trained.")
    behind = backbone.final_norm if backbone.pool is None else [backbone.pool]
    for module in (*backbone.blocks[-count:], *behind):
        module.requires_grad_(True)


def called_linears(backbone: Backbone) -> list[str]:
    """Return the names of the linear layers that tokens pass in the blocks and the pooling of a backbone.

    If other code reads the weight of a layer (as `nn.MultiheadAttention` does), an adapter around it would act only
    after merging, so such layers are excluded; and so are layers that compute position tables. The forward pass runs on
    the meta device, without weights.
    """
    names = {id(module): name for name, module in backbone.named_modules()}
    inside = {id(part) for _, module in backbone.adaptable_modules() for part in module.modules()}
    called: set[str] = set()

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if len(inputs[0]) == _PROBE_BATCH:
            called.add(names[id(module)])

    linears = [part for part in backbone.modules() if isinstance(part, nn.Linear) and id(part) in inside]
    hooks = [linear.register_forward_pre_hook(note) for linear in linears]
    try:
        run_without_weights(backbone, _PROBE_BATCH)
    finally:
        for hook in hooks:
            hook.remove()
    return [names[id(linear)] for linear in linears if names[id(linear)] in called]


def _inject(backbone: Backbone, adaptation: Adaptation, called: Iterable[str], streams: bool) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    targets = [name.removeprefix("trunk.") for name in _targets(backbone, adaptation, called, streams)]
    if not targets:
        return
    config = LoraConfig(
        r=adaptation.rank,
        lora_alpha=adaptation.alpha,  # type: ignore[arg-type]
        lora_dropout=adaptation.dropout,
        use_dora=adaptation.dora,
        target_modules=targets,
        bias="none",
    )
    inject_adapter_in_model(config, backbone.trunk, DEFAULT_ADAPTER)
    # New dropout layers come in training mode.
    backbone.train(backbone.training)


def _targets(backbone: Backbone, adaptation: Adaptation, called: Iterable[str], streams: bool) -> list[str]:
    """Return the layers that get an adapter; where task streams run, they are the adapters."""
    names = {id(module): name for name, module in backbone.named_modules()}
    skipped: list[nn.Module] = []
    pool: Any = backbone.pool
    if streams:
        skipped = [backbone.blocks[-1], *([pool] if pool is not None else [])]
    elif pool is not None:
        skipped = [pool.get_submodule(layer) for layer in POOL_LAYERS[adaptation.pool_layers]]
    inside = {names[id(part)] for module in skipped for part in module.modules()}
    return [name for name in called if name not in inside]


def _add_streams(model: MultiTaskModel, adaptation: Adaptation, called: Iterable[str]) -> None:
    backbone = model.backbone
    model.streams = TaskStreams(backbone, model.tasks, adaptation.rank, adaptation.alpha, called)
    if backbone.pool is not None:
        backbone.drop_projection()  # type: ignore[operator]


def _check_heads(model: MultiTaskModel) -> None:
    for task, head in model.heads.items():
        dim = getattr(head, "feature_dim", model.feature_dim)
        if dim != model.feature_dim:
            raise UserError(
                f"the head of {task} takes {dim} features, but this model gives {model.feature_dim}; build the heads "
                "with build_model."
            )


def adapter_layers(model: nn.Module) -> list[Any]:
    """Return peft's layers inside a model."""
    if "peft" not in sys.modules:
        return []  # there can't be any, and the import takes seconds
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [module for module in model.modules() if isinstance(module, BaseTunerLayer)]


def merge(model: nn.Module) -> None:
    """Add the adapters to the weights they adapt and remove them, in place; task streams stay.

    The model then costs as much as one without adapters, and its logits stay the same.
    """
    adapted = {id(layer) for layer in adapter_layers(model)}
    for layer in adapter_layers(model):
        layer.merge()
    for parent in list(model.modules()):
        for attribute, child in list(parent.named_children()):
            if id(child) in adapted:
                setattr(parent, attribute, child.get_base_layer())  # type: ignore[operator]


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that training changes, by name: trained parameters, and the buffers of their modules."""
    parameters = dict(model.named_parameters())
    trained = {name for name, parameter in parameters.items() if parameter.requires_grad}
    holders = {name.rpartition(".")[0] for name in trained}
    return {
        name: tensor.detach()
        for name, tensor in model.state_dict().items()
        if name in trained or (name not in parameters and name.rpartition(".")[0] in holders)
    }
