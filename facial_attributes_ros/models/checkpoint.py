"""Tensors on disk: safetensors only, written atomically, loaded strictly. Loading never runs code."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors, utf8_name
from facial_attributes_ros.models.spec import TENSORS_FILE, ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

_NAMED_AT_MOST: Final = 5


def save_model(folder: Path, spec: ModelSpec, tensors: "Mapping[str, Tensor]", *, half: bool = True) -> None:
    """Write a model folder: `model.safetensors`, then `model.json`, each atomically.

    Args:
        folder: made if it is missing.
        spec: the model's description.
        tensors: of `models.adaptations.ladder.trained_tensors`, or the whole state if weights are "included".
        half: store matrices in half precision; vectors stay in float32, since variances of norms may be too small.

    Raises:
        UserError: there is no space or no write access.
        ValueError: a tensor is not finite, so that it could not be loaded again.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    stored = {name: _for_disk(tensor, half) for name, tensor in tensors.items()}
    if broken := not_finite(stored):
        raise ValueError(f"tensors that are not finite: {_listed(broken)}")
    path = Path(folder) / TENSORS_FILE
    with disk_errors(path), atomic_target(path) as temporary:
        try:
            with utf8_name(temporary) as name:
                save_file(stored, name, metadata={"format": "pt"})
        except SafetensorError as error:
            raise UserError(f"{path} can't be written, perhaps for lack of space: {error}.") from error
    spec.write(folder)


def load_tensors(folder: Path) -> "dict[str, Tensor]":
    """Read a model folder's tensors, on the CPU, in the precision of the file.

    Raises:
        UserError: the file is missing, damaged, or not a safetensors file.
    """
    from safetensors.torch import load_file

    with readable_tensors(Path(folder) / TENSORS_FILE) as name:
        tensors: dict[str, Tensor] = load_file(name)
    return tensors


@contextmanager
def readable_tensors(path: Path) -> Iterator[str]:
    """Yield the name by which safetensors opens the tensors of a model folder, and say what is wrong with them.

    Raises:
        UserError: the file is missing, damaged, or something else under this name.
    """
    from safetensors import SafetensorError

    try:
        with utf8_name(path) as name:
            yield name
    except FileNotFoundError as error:
        raise UserError(f"{path.parent} is not a whole model: it has no {path.name}.") from error
    except (
        SafetensorError,
        OSError,
        KeyError,
        TypeError,
    ) as error:  # the last two for unknown types of numbers
        raise UserError(f"{path} is not a readable safetensors file ({error}): get it again.") from error


def load_into(
    module: "nn.Module",
    tensors: "Mapping[str, Tensor]",
    *,
    strict: bool = True,
    only: str = "",
    expected: Collection[str] | None = None,
) -> None:
    """Copy tensors into a module's parameters and buffers of the same names.

    Args:
        module: changed in place, and only if everything fits.
        tensors: half or single precision where the module's are floating, converted to the module's; else its type.
        strict: raise for missing and extra names; misshaped ones always raise.
        only: prefix of the names that are loaded and checked, in `tensors` and in the module.
        expected: names that must be in `tensors`; by default the module's whole state.

    Raises:
        UserError: names the missing, extra, misshaped, mistyped and non-finite tensors, and variances below zero.
    """
    import torch

    state = {name: value for name, value in module.state_dict(keep_vars=True).items() if name.startswith(only)}
    given = {name: value for name, value in tensors.items() if name.startswith(only)}
    wanted = {name for name in (state if expected is None else expected) if name.startswith(only)}
    faults = list(_faults(state, given, wanted, strict))
    if faults:
        raise UserError(f"These weights do not fit the model: {'; '.join(faults)}.")
    with torch.no_grad():
        for name, value in given.items():
            if name in state:
                state[name].copy_(value)


def _faults(
    state: "Mapping[str, Tensor]", given: "Mapping[str, Tensor]", wanted: set[str], strict: bool
) -> Iterator[str]:
    if strict and (missing := sorted(wanted - given.keys())):
        yield f"missing {_listed(missing)}"
    if strict and (extra := sorted(given.keys() - wanted)):
        yield f"extra {_listed(extra)}"
    misshaped = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(state[name].shape)}"
        for name in sorted(given.keys() & state.keys())
        if given[name].shape != state[name].shape
    ]
    if misshaped:
        yield f"misshaped {_listed(misshaped)}"
    if mistyped := wrong_types(given, state):
        yield f"mistyped {_listed(mistyped)}"
    if broken := not_finite(given):
        yield f"not finite {_listed(broken)}"
    if negative := sorted(name for name, value in given.items() if name.endswith("running_var") and (value < 0).any()):
        yield f"below zero {_listed(negative)}"


def wrong_types(given: "Mapping[str, Tensor]", wanted: "Mapping[str, Tensor]") -> list[str]:
    """Return the tensors whose type differs from that of the tensors they would be copied into, with both types.

    Half and single precision are interchangeable. Whole numbers and double precision, which this package never writes,
    would be copied without a warning, so they are refused.
    """
    import torch

    floating = (torch.float16, torch.bfloat16, torch.float32)
    return [
        f"{name} {given[name].dtype} instead of {wanted[name].dtype}".replace("torch.", "")
        for name in sorted(given.keys() & wanted.keys())
        if given[name].dtype != wanted[name].dtype
        and not (given[name].dtype in floating and wanted[name].dtype in floating)
    ]


def _for_disk(tensor: "Tensor", half: bool) -> "Tensor":
    import torch

    tensor = tensor.detach().cpu()
    if half and tensor.dtype == torch.float32 and tensor.ndim >= 2:
        tensor = tensor.half()
    return tensor.clone(memory_format=torch.contiguous_format)


def not_finite(tensors: "Mapping[str, Tensor]") -> list[str]:
    """Return the names of the tensors that hold NaN or an infinite number."""
    # PyTorch can't check whether types of 8 bits and less are finite; `wrong_types` refuses them.
    floating = {name: value for name, value in tensors.items() if value.is_floating_point() and value.itemsize > 1}
    return sorted(name for name, value in floating.items() if not value.isfinite().all())


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
