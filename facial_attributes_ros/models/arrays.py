"""The tensors of a model as numpy arrays, for machines without PyTorch."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.assets import asset
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones.architecture import DINOV2
from facial_attributes_ros.models.backbones.dinov2 import arrays_from_onnx
from facial_attributes_ros.models.checkpoint import readable_tensors
from facial_attributes_ros.models.spec import TENSORS_FILE, ModelSpec

Arrays = dict[str, NDArray[np.float32]]

OUT: Final = ".low_rank_out"
"""Suffix of the first factor of a stored difference, (out, rank); see `models.adaptations.low_rank`."""
IN: Final = ".low_rank_in"
"""Suffix of the second factor, (rank, in)."""
SCALE: Final = ".row_scale"
"""Suffix of factors on the rows of the sum, (out,), as DoRA's magnitudes leave them; 1 where there are none."""
FACTORS: Final = (OUT, IN, SCALE)
TASK_BASE: Final = ".base."
"""Part of the name of a tensor inside a layer of `mtlora`, which the starting weights have without `base`."""

_TRUNK: Final = "backbone.trunk."


def model_arrays(folder: Path, spec: ModelSpec) -> Arrays:
    """Return the parameters and buffers of a model by their names in the network, as far as numpy can make them.

    What is stored as a difference of low rank is added to the starting weights of DINOv2. Adapters that are not merged
    stay as they are, and tables that are resampled to another image size have the size of the starting weights.

    Raises:
        UserError: a file is missing or damaged, or the starting weights can't be fetched.
    """
    stored = _read(Path(folder) / TENSORS_FILE)
    start: Arrays = {}
    if spec.backbone.weights == "asset" and spec.backbone.name == DINOV2:
        start = {_TRUNK + name: array for name, array in arrays_from_onnx(asset(DINOV2)).items()}
    whole = start | {name: array for name, array in stored.items() if not name.endswith(FACTORS)}
    for name in (key.removesuffix(OUT) for key in stored if key.endswith(OUT)):
        try:
            before = start[name.replace(TASK_BASE, ".")]
            whole[name] = before + stored[name + OUT] @ stored[name + IN]
            if name + SCALE in stored:
                whole[name] = stored[name + SCALE][:, None] * whole[name]
        except (KeyError, ValueError) as error:
            raise UserError(f"{folder} holds a difference that does not fit its backbone: get it again.") from error
    return whole


def _read(path: Path) -> Arrays:
    from safetensors.numpy import load_file

    with readable_tensors(path) as name:
        return {key: np.asarray(array, np.float32) for key, array in load_file(name).items()}
