"""Parameter groups with the learning rates of LoRA+ (Hayou et al. 2024), made explicitly.

peft's own helper sorts by the number of dimensions: it would give DoRA's magnitudes and the heads' biases the fast rate
of the B matrices, and the heads' weights the slow rate of the A matrices. Here magnitudes learn at the rate of A, as
they belong to the adapted weight and start at their pretrained value, and heads learn at the rate of heads.
"""

from collections.abc import Iterator
from typing import Any, Final

from torch import nn

from facial_attributes_ros.models.adaptations.ladder import Adaptation
from facial_attributes_ros.models.multitask import MultiTaskModel

BACKBONE_RATE: Final = 0.1
"""Learning rate of the backbone's own and adapted parameters, as a fraction of that of the heads."""


def parameter_groups(
    model: MultiTaskModel,
    adaptation: Adaptation,
    lr: float,
    weight_decay: float = 0.01,
    backbone_rate: float = BACKBONE_RATE,
    layer_decay: float = 1.0,
    pooling_as_head: bool = False,
) -> list[dict[str, Any]]:
    """Return the trained parameters as groups for an optimizer; every parameter is in exactly one group.

    Each group has `name`, `params`, `lr` and `weight_decay`. The learning rate of heads, attention pooling and its
    queries is `lr`; that of blocks, A matrices and magnitudes `lr * backbone_rate`; that of B matrices
    `adaptation.loraplus_ratio` times as high. Layer-wise learning-rate decay (Clark et al., 2020, ELECTRA): the rate of
    a block that is trained in full is that of the block after it times `layer_decay`, and likewise for the layers
    before the first block. Vectors (biases, normalisations, magnitudes) have no weight decay. With `pooling_as_head`,
    the rate of adapters and task streams in the attention pooling is `lr` too, as in Sessa's public code, which checks
    the name of the pooling before the kind of matrix.
    """
    rates = {"head": lr, "backbone": lr * backbone_rate, "adapter_a": lr * backbone_rate}
    rates["adapter_b"] = rates["adapter_a"] * adaptation.loraplus_ratio
    sorted_parameters: dict[tuple[str, bool], list[nn.Parameter]] = {}
    depths = _depths(model) if layer_decay < 1 else {}
    for kind, parameter in _kinds(model, pooling_as_head):
        depth = depths.get(id(parameter), 0) if kind == "backbone" else 0
        if depth:
            rates.setdefault(f"backbone-{depth}", rates[kind] * layer_decay**depth)
            kind = f"backbone-{depth}"
        sorted_parameters.setdefault((kind, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "name": kind if decayed else f"{kind}, not decayed",
            "params": parameters,
            "lr": rates[kind],
            "weight_decay": weight_decay if decayed else 0.0,
        }
        for (kind, decayed), parameters in sorted_parameters.items()
    ]


def _depths(model: MultiTaskModel) -> dict[int, int]:
    """Return the number of blocks after each parameter by its id, without the parameters after the last block."""
    backbone = model.backbone
    blocks = backbone.blocks
    behind = {id(p) for part in (*backbone.final_norm, backbone.pool) if part is not None for p in part.parameters()}
    depths = {id(parameter): len(blocks) for parameter in backbone.parameters() if id(parameter) not in behind}
    for index, block in enumerate(blocks):
        depths |= {id(parameter): len(blocks) - 1 - index for parameter in block.parameters()}
    return depths


def _kinds(model: MultiTaskModel, pooling_as_head: bool) -> Iterator[tuple[str, nn.Parameter]]:
    pool = model.backbone.pool
    pooling = set() if pool is None else {id(parameter) for parameter in pool.parameters()}
    first = pooling if pooling_as_head else set()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        parts = name.split(".")
        if id(parameter) in first:
            yield "head", parameter
        elif "lora_B" in parts or "up" in parts:
            yield "adapter_b", parameter
        elif "lora_A" in parts or "down" in parts or "lora_magnitude_vector" in parts:
            yield "adapter_a", parameter
        elif not name.startswith("backbone.") or id(parameter) in pooling:
            yield "head", parameter
        else:
            yield "backbone", parameter
