"""Import checkpoints of Sessa's thesis, whose tensors have the names of Meta's perception_models.

A checkpoint is a folder with peft's `adapter_config.json` and `adapter_model.safetensors` and a PyTorch file
`custom_layers.pt` with the heads and, for MTLoRA, the last block and the pooling with their low-rank matrices per task.
"""

import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from facial_attributes_ros.attributes import TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import read_json
from facial_attributes_ros.models.adaptations.ladder import Adaptation, build_model, trained_tensors
from facial_attributes_ros.models.backbones.base import Backbone
from facial_attributes_ros.models.backbones.build import build_backbone
from facial_attributes_ros.models.backbones.weights import is_table_of_tensors, read_pickle, read_tensors

if TYPE_CHECKING:
    from facial_attributes_ros.models.backbones.reference import BackboneReference
    from facial_attributes_ros.models.spec import ModelSpec

CONFIG_FILE: Final = "adapter_config.json"
ADAPTERS_FILE: Final = "adapter_model.safetensors"
CUSTOM_FILE: Final = "custom_layers.pt"
DEFAULT_BACKBONE: Final = "PE-Core-L-14-336"
TRUNK: Final = "backbone.trunk."
NEVER_ACTING: Final = "attn_pool.attn.out_proj."
"""An adapter inside `nn.MultiheadAttention`, which reads the layer's weight and never calls it."""

_ADAPTER_PREFIX: Final = "base_model.model."
_LAYERS: Final = {
    "attn.in_proj": "attn.qkv",
    "attn.out_proj": "attn.proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_ADAPTER: Final = re.compile(
    r"(?P<place>transformer\.resblocks\.\d+|attn_pool)\.(?P<layer>[\w.]+?)"
    r"\.(?P<part>lora_A|lora_B|lora_magnitude_vector)(\.weight)?"
)
_HEAD_LAYERS: Final = {"0": "norm", "2": "hidden.0", "4": "classifier"}
_BLOCK_STREAMS: Final = {
    "attn.qkv": ("attn.q", "attn.k", "attn.v"),
    "attn.proj": ("out_proj",),
    "mlp.fc1": ("mlp.c_fc",),
    "mlp.fc2": ("mlp.c_proj",),
}
_POOL_STREAMS: Final = {
    "q": ("q_proj",),
    "kv": ("k_proj", "v_proj"),
    "proj": ("out_proj",),
    "mlp.fc1": ("mlp.c_fc",),
    "mlp.fc2": ("mlp.c_proj",),
}
"""Our layer to theirs, one or several of which are fused in ours."""
_STREAM_KEY: Final = re.compile(
    r"(?P<layer>[\w.]+)\.(lora_tasks_(?P<part>[AB])\.(?P<task>\w+)|lora_shared_[AB]|linear\.(weight|bias))"
)


@dataclass(frozen=True, slots=True, eq=False)
class SessaCheckpoint:
    """A checkpoint of Sessa's public code in the names of this package.

    Attributes:
        adaptation: that it was trained with.
        tasks: of its heads, in the order of `TASKS`.
        tensors: by the names of a `MultiTaskModel` built with this adaptation and these tasks.
        frozen: tensors of the pretrained last block and pooling that an MTLoRA checkpoint repeats, by names in timm's
            trunk, to check the backbone's weights against.
    """

    adaptation: Adaptation
    tasks: tuple[str, ...]
    tensors: dict[str, Tensor]
    frozen: dict[str, Tensor]


def read_sessa(folder: Path, depth: int) -> SessaCheckpoint:
    """Read a checkpoint of Sessa's public code without executing anything in it.

    Args:
        folder: see above.
        depth: number of blocks of the backbone; MTLoRA's own layers replace the last one.

    Raises:
        UserError: a file is missing, would execute code, or contains something unknown.
    """
    custom = read_pickle(folder / CUSTOM_FILE)
    if not isinstance(custom, Mapping) or not is_table_of_tensors(custom.get("prediction_layers")):
        raise UserError(f"{folder / CUSTOM_FILE} has no prediction_layers, so it is not a checkpoint of Sessa's code.")
    adaptation = _adaptation(folder / CONFIG_FILE, task_specific="mtl_layer" in custom)
    tensors = dict(_heads(custom["prediction_layers"]))
    tensors |= dict(_adapters(read_tensors(folder / ADAPTERS_FILE)))
    frozen: dict[str, Tensor] = {}
    if adaptation.task_specific:
        scale = adaptation.rank / adaptation.alpha
        for part, place, layers in (
            ("mtl_layer", f"blocks.{depth - 1}.", _BLOCK_STREAMS),
            ("mtl_attn_pool", "attn_pool.", _POOL_STREAMS),
        ):
            state = _state(custom, part, folder)
            tensors |= _streams(state, place, layers, scale)
            frozen |= _frozen(state, place, layers)
        probes = _state(custom, "mtl_attn_pool", folder)
        found = {name: value for name, value in probes.items() if name.startswith("probe.")}
        tensors |= {f"streams.latents.{_task(name)}": value for name, value in found.items()}
    tasks = tuple(task for task in TASKS if f"heads.{task}.classifier.weight" in tensors)
    return SessaCheckpoint(adaptation, tasks, tensors, frozen)


def import_sessa(
    folder: Path, out: Path, backbone: str = DEFAULT_BACKBONE, weights: str | None = None, command: str = ""
) -> SessaCheckpoint:
    """Write a checkpoint of Sessa's public code as a model folder.

    Args:
        folder: the checkpoint.
        out: the model folder to write.
        backbone: name of the backbone it was trained on.
        weights: the backbone's own weights, a file or `hub@REVISION`; without them they are given when the model is
            loaded.
        command: the command line, for the model's provenance.

    Raises:
        UserError: the checkpoint is not one of Sessa's code, or does not fit the backbone or its weights.
    """
    from facial_attributes_ros.models.checkpoint import load_into, save_model

    if weights is None:
        with torch.device("meta"):
            network = build_backbone(backbone)
    else:
        network = build_backbone(backbone, weights)
    checkpoint = read_sessa(folder, len(network.blocks))
    if weights is not None:
        _check_frozen(network, checkpoint.frozen)
    with torch.device("meta") if weights is None else torch.device("cpu"):
        model = build_model(network, checkpoint.adaptation, checkpoint.tasks)
    load_into(model, checkpoint.tensors, expected=trained_tensors(model).keys())
    spec = _spec(out.name, folder, network, checkpoint, _weights(backbone, weights))
    save_model(out, replace(spec, commands=(command,) if command else ()), checkpoint.tensors, half=False)
    return checkpoint


def _weights(backbone: str, weights: str | None) -> "BackboneReference":
    from facial_attributes_ros.files import file_sha256
    from facial_attributes_ros.models.backbones.reference import BackboneReference, is_hub_reference

    local = None if weights is None or is_hub_reference(weights) else Path(weights).resolve()
    return BackboneReference(backbone, str(local or weights or "hub"), None if local is None else file_sha256(local))


def _spec(
    name: str, folder: Path, network: Backbone, checkpoint: SessaCheckpoint, weights: "BackboneReference"
) -> "ModelSpec":
    from facial_attributes_ros.models.backbones.published import backbone_licence, backbone_parent
    from facial_attributes_ros.models.provenance import Licence, strictest, today
    from facial_attributes_ros.models.spec import ModelSpec

    # Such a checkpoint does not state its licence. It has no thresholds, as Sessa's own program has none.
    own = Licence(sources=(f"checkpoint {folder.name}",), text="As the owner of the imported checkpoint says.")
    preprocess = network.preprocess
    return ModelSpec(
        name=name,
        backbone=weights,
        image_size=preprocess.image_size,
        mean=preprocess.mean,
        std=preprocess.std,
        tasks=checkpoint.tasks,
        adaptation=checkpoint.adaptation.to_dict(),
        interpolation=preprocess.interpolation,
        licence=strictest(licence for licence in (backbone_licence(weights), own) if licence is not None),
        parent=backbone_parent(weights),
        date=today(),
    )


def _adaptation(path: Path, task_specific: bool) -> Adaptation:
    try:
        config = read_json(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing, so this is not a checkpoint of Sessa's code.") from error
    if not isinstance(config, dict):
        raise UserError(f"{path} is not an adapter configuration of peft: it is no JSON object.")
    if config.get("use_rslora") or config.get("rank_pattern") or config.get("alpha_pattern"):
        raise UserError(f"{path} has a scale or rank per layer, which Sessa's code does not; it can't be read.")
    rank = _number(config, "r", path)
    if rank != int(rank):
        raise UserError(f"{path} is not an adapter configuration of peft: r is a whole number, not {rank}.")
    return Adaptation.named(
        "mtlora" if task_specific else "lora-reference",
        rank=int(rank),
        alpha=_number(config, "lora_alpha", path),
        dropout=_number({"lora_dropout": 0.0} | config, "lora_dropout", path),
        dora=config.get("use_dora") is True,
        # In Sessa's code the adapter on the pooling's output layer never acts, so none is added there.
        pool_layers="all" if task_specific else "mlp",
    )


def _number(config: Mapping[str, Any], key: str, path: Path) -> float:
    value = config.get(key)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # Neither an infinite number nor one that no float can hold is below a million.
    if not number or not 0 <= value < 1e6 or (value == 0 and key != "lora_dropout"):  # type: ignore[operator]
        raise UserError(f"{path} is not an adapter configuration of peft: {key} is {reprlib.repr(value)}.")
    return float(value)  # type: ignore[arg-type]


def _adapters(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        inner = name.removeprefix(_ADAPTER_PREFIX)
        if inner.startswith(NEVER_ACTING):
            continue
        match = _ADAPTER.fullmatch(inner)
        if match is None or match["layer"] not in _LAYERS:
            raise UserError(f"{ADAPTERS_FILE} adapts {name}, which is not a layer that Sessa's code adapts.")
        place = match["place"].replace("transformer.resblocks", "blocks")
        yield f"{TRUNK}{place}.{_LAYERS[match['layer']]}.{match['part']}.default.weight", tensor


def _heads(layers: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in layers.items():
        task, index, attribute = ([*name.split("."), "", ""])[:3]
        if task.lower() not in TASKS or index not in _HEAD_LAYERS or f"{task}.4.weight" not in layers:
            raise UserError(f"{CUSTOM_FILE} has a head layer {name}, which is not part of a deep head of a known task.")
        yield f"heads.{task.lower()}.{_HEAD_LAYERS[index]}.{attribute}", tensor


def _state(custom: Mapping[str, Any], part: str, folder: Path) -> Mapping[str, Tensor]:
    state = custom.get(part)
    # Some of the author's files hold the block's state inside a tuple.
    state = state[0] if isinstance(state, (list, tuple)) and state else state
    if not is_table_of_tensors(state):
        raise UserError(
            f"{folder / CUSTOM_FILE} has task-specific layers, but {part} is missing or no table of tensors."
        )
    return state  # type: ignore[return-value]


def _task(name: str) -> str:
    task = name.rpartition(".")[2].lower()
    if task not in TASKS:
        raise UserError(f"{CUSTOM_FILE} has layers for a task {task!r}; known are {', '.join(TASKS)}.")
    return task


def _streams(
    state: Mapping[str, Tensor], place: str, layers: Mapping[str, tuple[str, ...]], scale: float
) -> dict[str, Tensor]:
    """Fuse the low-rank matrices of layers that are one in ours; the shared ones have scale 0 and are left out."""
    theirs = {layer for fused in layers.values() for layer in fused}
    tasks = []
    for name in state:
        match = _STREAM_KEY.fullmatch(name)
        known = match is not None and match["layer"] in theirs
        if not known and not name.startswith(("probe.", "ln_", "ls_", "layernorm.")):
            raise UserError(f"{CUSTOM_FILE} has a task-specific layer {name}, which Sessa's model does not have.")
        if match is not None and match["task"] and match["task"] not in tasks:
            tasks.append(match["task"])
    found: dict[str, Tensor] = {}
    try:
        for ours, fused in layers.items():
            for task in tasks:
                down = _fused(state, [f"{layer}.lora_tasks_A.{task}" for layer in fused])
                up = _fused(state, [f"{layer}.lora_tasks_B.{task}" for layer in fused])
                found[f"{TRUNK}{place}{ours}.down.{_task(task)}"] = down
                found[f"{TRUNK}{place}{ours}.up.{_task(task)}"] = up * scale
    except KeyError as error:
        raise UserError(f"{CUSTOM_FILE} is not whole: {error.args[0]} is missing.") from error
    return found


def _fused(state: Mapping[str, Tensor], names: list[str]) -> Tensor:
    try:
        return torch.cat([state[name] for name in names])
    except RuntimeError as error:
        raise UserError(f"{CUSTOM_FILE} has {' and '.join(names)}, which don't fit each other ({error}).") from error


def _frozen(state: Mapping[str, Tensor], place: str, layers: Mapping[str, tuple[str, ...]]) -> dict[str, Tensor]:
    return {
        f"{place}{ours}.weight": _fused(state, [f"{layer}.linear.weight" for layer in fused])
        for ours, fused in layers.items()
        if all(f"{layer}.linear.weight" in state for layer in fused)
    }


def _check_frozen(backbone: Backbone, frozen: Mapping[str, Tensor]) -> None:
    own = backbone.trunk.state_dict()
    for name, tensor in frozen.items():
        if (
            name not in own
            or own[name].shape != tensor.shape
            or not torch.allclose(own[name], tensor.float(), atol=1e-2)
        ):
            raise UserError(f"the checkpoint was trained on other weights of {backbone.name}: {name} differs.")
