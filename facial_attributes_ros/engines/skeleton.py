"""The graph of a model without its weights, so that its engine can be built where PyTorch is not installed.

A model folder may hold `network.onnx`: the exported float32 network, in which every weight that can be computed from
the model's tensors is replaced by the name of its parameter. For `small` that leaves some hundred kilobytes. onnx and
numpy fill it in and onnxruntime quantises it; what comes out is checked against logits that PyTorch gave.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

SKELETON_FILE: Final = "network.onnx"
EXAMPLES: Final = 2
"""Number of example crops whose logits are kept with the graph."""

_KEY: Final = "key"
_LOGITS: Final = "logits"
_TRANSPOSED: Final = "transposed "
_SMALLEST: Final = 256
"""Weights with fewer numbers than this stay in the graph."""
_TOLERANCE: Final = 1e-5
"""Largest difference, relative to the largest number, between a weight and what numpy computes for it."""

Arrays = Mapping[str, NDArray[np.float32]]


def write_skeleton(whole: Path, sources: Arrays, key: str, logits: Sequence[NDArray[np.float32]], path: Path) -> None:
    """Write a network without the weights that can be computed from the model's tensors.

    Args:
        whole: the exported float32 network.
        sources: what `models.arrays.model_arrays` returns.
        key: identifies the model that the graph belongs to.
        logits: of PyTorch for `EXAMPLES` example crops, one array (EXAMPLES, classes) per output.
        path: written atomically.

    Raises:
        UserError: no space or no write access.
    """
    import onnx
    from onnx import helper

    model = onnx.load(whole)
    by_shape: dict[tuple[int, ...], list[tuple[str, NDArray[np.float32]]]] = {}
    for name, array in sources.items():
        by_shape.setdefault(array.shape, []).append((name, array))
        if array.ndim == 2:
            by_shape.setdefault(array.shape[::-1], []).append((_TRANSPOSED + name, array.T))
    for weight in model.graph.initializer:
        _strip(weight, by_shape.get(tuple(weight.dims), []))
    rounded = [np.round(values.astype(float), 5).tolist() for values in logits]
    helper.set_model_props(model, {_KEY: key, _LOGITS: json.dumps(rounded)})
    with disk_errors(path), atomic_target(path) as temporary:
        onnx.save(model, temporary)


def _strip(weight: "TensorProto", candidates: Sequence[tuple[str, NDArray[np.float32]]]) -> None:
    import onnx

    if weight.data_type != onnx.TensorProto.FLOAT or np.prod(weight.dims) < _SMALLEST:
        return
    values = onnx.numpy_helper.to_array(weight)
    limit = _TOLERANCE * float(np.abs(values).max())
    source = next((name for name, array in candidates if float(np.abs(array - values).max()) <= limit), None)
    if source is not None:
        weight.doc_string = source
        weight.ClearField("raw_data")
        weight.ClearField("float_data")


def read_skeleton(folder: Path, key: str) -> "ModelProto | None":
    """Return the graph of a model folder, None if there is none or if it belongs to another state of the model."""
    path = folder / SKELETON_FILE
    if not path.is_file():
        return None
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load(path)
    except (OSError, DecodeError) as error:
        raise UserError(f"{path} can't be read as an ONNX file ({error}): get the model again.") from error
    return model if _properties(model).get(_KEY) == key else None


def fill(model: "ModelProto", sources: Arrays, path: Path) -> None:
    """Write the network with its weights.

    Args:
        model: what `read_skeleton` returned; it is filled in place.
        sources: what `models.arrays.model_arrays` returns.
        path: written as it is, so make it a temporary one.

    Raises:
        UserError: the model lacks a tensor of the network.
    """
    import onnx

    for weight in model.graph.initializer:
        if not weight.doc_string:
            continue
        name = weight.doc_string.removeprefix(_TRANSPOSED)
        array = sources.get(name)
        if array is not None and weight.doc_string.startswith(_TRANSPOSED):
            array = array.T
        if array is None or array.shape != tuple(weight.dims):
            raise UserError(f"The graph of this model does not fit its tensors ({name}): get the model again.")
        weight.raw_data = np.ascontiguousarray(array, np.float32).tobytes()
        weight.doc_string = ""
    onnx.save(model, path)


def expected_logits(model: "ModelProto") -> list[NDArray[np.float32]]:
    """Return the logits that PyTorch gave for `EXAMPLES` example crops, one array (EXAMPLES, classes) per output."""
    return [np.array(values, np.float32) for values in json.loads(_properties(model)[_LOGITS])]


def _properties(model: "ModelProto") -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}
