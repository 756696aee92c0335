"""What runs a model: one interface, an engine for PyTorch and one for ONNX Runtime.

Importing this module imports neither torch nor onnxruntime, and a cached ONNX engine starts without torch.
"""

import importlib.util
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.regression import class_logits
from facial_attributes_ros.models.spec import ModelSpec
from facial_attributes_ros.models.untrained import untrained_classes

_LOGGER = logging.getLogger(__name__)

ENGINES: Final = ("auto", "onnx", "onnx-int8", "torch")
"""`onnx` is float32; `onnx-int8` quantises the linear layers per channel, and auto takes it where the model allows."""

Crops = NDArray[np.uint8]
Logits = dict[str, NDArray[np.float32]]

_INT8_FLAGS: Final = ("avx512_vnni", "avx_vnni", "asimddp")
_CUDA_FILES: Final = ("/dev/nvidiactl", "/dev/nvhost-ctrl-gpu", "/dev/nvgpu", "/dev/dxg")


class Engine(Protocol):
    """A model that is loaded and ready.

    Attributes:
        spec: the model's description.
        name: `torch`, `onnx` or `onnx-int8`.
        device: `cpu` or `cuda:0` and the like.
    """

    spec: ModelSpec
    name: str
    device: str

    def logits(self, crops: Crops, tasks: Iterable[str] | None = None) -> Logits:
        """Run the model on crops as `vision.crop.crop_faces` cuts them.

        Args:
            crops: uint8 (N, S, S, 3), BGR, S being `spec.image_size`; N may be 0.
            tasks: which results are wanted, all by default; nothing that only serves another is computed.

        Returns:
            float32 (N, classes) per task, not calibrated; (N, 1) for an age in years, see `models.regression`.

        Raises:
            ValueError: the crops have another shape or type.
            UserError: the model lacks a task, or the device has too little memory for a single face.
        """

    def from_frame(self, image: NDArray[np.uint8], boxes: ArrayLike, tasks: Iterable[str] | None = None) -> Logits:
        """Cut faces out of a frame and run the model on them.

        Args:
            image: uint8 (H, W, 3), BGR.
            boxes: (N, 4) x, y, width, height in pixels of `image`; N may be 0.
            tasks: as in `logits`.

        Returns:
            As `logits`.
        """

    def warm_up(self, batch_sizes: Iterable[int] = (1,), tasks: Iterable[str] | None = None) -> None:
        """Run once per batch size, so that the first frame is as fast as the others.

        Args:
            batch_sizes: numbers of faces.
            tasks: as in `logits`; what only serves the others is neither loaded nor run.
        """


def load_engine(
    model: str | Path = "small", device: str = "auto", engine: str = "auto", threads: int | None = None
) -> Engine:
    """Load a model into the engine that fits the device.

    Args:
        model: as in `models.registry.model_folder`.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; auto takes CUDA where there is one.
        engine: one of `ENGINES`; auto takes PyTorch on CUDA and ONNX Runtime on a CPU.
        threads: of the CPU that one call may use; by default one per core.

    Raises:
        UserError: no such engine, device or model, or something the engine needs is not installed.
    """
    if engine not in ENGINES:
        raise UserError(f"There is no engine {engine!r}: choose one of {', '.join(ENGINES)}.")
    if threads is not None and threads < 1:
        raise UserError(f"An engine needs at least one thread, not {threads}.")
    folder = model_folder(model)
    spec = ModelSpec.identified(folder)
    device = resolve_device(device, engine)
    chosen = _choose(spec, device) if engine == "auto" else engine
    _LOGGER.info("Model %s runs in engine %s on %s.", spec.title, chosen, device)
    loaded: Engine
    if chosen == "torch":
        from facial_attributes_ros.runtime.torch_engine import TorchEngine

        loaded = TorchEngine.load(folder, device=device, threads=threads)
    else:
        from facial_attributes_ros.runtime.onnx_engine import OnnxEngine

        loaded = OnnxEngine.load(folder, device=device, threads=threads, int8=chosen == "onnx-int8")
    loaded.spec = spec
    return loaded


def probabilities(logits: Logits, spec: ModelSpec) -> Logits:
    """Return calibrated distributions: the softmax of the logits over the task's temperature (Guo et al. 2017).

    Args:
        logits: as `Engine.logits` gives them; an age in years becomes a distribution over age groups.
        spec: gives the temperatures, and says how an age in years is read and which labels were never trained.

    Returns:
        float32 (N, classes) per task; every row sums to 1, or is NaN throughout where a logit is not finite. Labels
        that were never trained have 0.
    """
    classes = class_logits(logits, spec.age_regression)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite comes out as NaN
        return {
            task: _softmax(values / np.float32(spec.temperatures[task]), untrained_classes(task, spec.untrained_labels))
            for task, values in classes.items()
        }


def check_crops(crops: Crops, spec: ModelSpec) -> None:
    """Check what `Engine.logits` is given.

    Raises:
        ValueError: another shape or type than uint8 (N, S, S, 3).
    """
    side = spec.image_size
    if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (side, side, 3):
        raise ValueError(f"crops must be uint8 (N, {side}, {side}, 3), not {crops.dtype} {crops.shape}")


def empty_logits(spec: ModelSpec, tasks: Iterable[str]) -> Logits:
    """Return the logits of no faces at all, as `Engine.logits` gives them."""
    return {task: np.empty((0, spec.outputs(task)), np.float32) for task in tasks}


def _softmax(values: NDArray[np.float32], without: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return distributions over the classes but for those, bool (classes,), that get no probability."""
    # One logit of minus infinity would otherwise leave a distribution that looks sure of itself.
    values = np.where(np.isfinite(values).all(axis=-1, keepdims=True), values, np.float32(np.nan))
    values = np.where(without, np.float32(-np.inf), values)
    powers = np.exp(values - values.max(axis=-1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def resolve_device(device: str, engine: str = "auto") -> str:
    """Return `cpu` or `cuda:N` for what a user asks for: auto, cpu, cuda or cuda:N.

    The library of the engine is asked, and only where the machine looks as if it had a GPU. Networks in int8 are made
    for CPUs.

    Raises:
        UserError: there is no such device.
    """
    kind, _, index = device.partition(":")
    if device != "auto" and (kind not in ("cpu", "cuda") or (index and not (kind == "cuda" and index.isdecimal()))):
        raise UserError(f"There is no device {device!r}: choose auto, cpu, cuda or cuda:N.")
    if kind == "cpu" or (device == "auto" and engine == "onnx-int8"):
        return "cpu"
    count = _cuda_devices(engine)
    if kind == "cuda" and int(index or 0) >= count:
        raise UserError(f"There is no CUDA device {index or 0} here: choose cpu, or check the driver with nvidia-smi.")
    return f"cuda:{index or 0}" if count else "cpu"


def _cuda_devices(engine: str) -> int:
    if not any(Path(file).exists() for file in _CUDA_FILES) or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return 0
    if engine == "auto":
        return _cuda_devices_of_torch() or _cuda_devices_of_onnxruntime()
    return _cuda_devices_of_torch() if engine == "torch" else _cuda_devices_of_onnxruntime()


def _cuda_devices_of_torch() -> int:
    if not importlib.util.find_spec("torch"):
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _cuda_devices_of_onnxruntime() -> int:
    if not importlib.util.find_spec("onnxruntime"):
        return 0
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return 0
    # It does not tell how many there are; the driver does, except on Jetson, which has one.
    return len([file for file in Path("/dev").glob("nvidia*") if file.name.removeprefix("nvidia").isdigit()]) or 1


def _choose(spec: ModelSpec, device: str) -> str:
    if device != "cpu":
        return "torch" if _cuda_devices_of_torch() else "onnx"
    if importlib.util.find_spec("onnxruntime"):
        return "onnx-int8" if spec.int8 and _has_int8_instructions() else "onnx"
    return "torch"


def _has_int8_instructions() -> bool:
    """Return whether the CPU multiplies int8 without saturating on the way; elsewhere int8 loses accuracy."""
    try:
        return any(flag in Path("/proc/cpuinfo").read_text() for flag in _INT8_FLAGS)
    except OSError:
        return False
