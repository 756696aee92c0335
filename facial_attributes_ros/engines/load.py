"""The choice of the engine for a model and a device: PyTorch or ONNX Runtime.

Importing this module imports neither torch nor onnxruntime, and a cached ONNX engine starts without torch.
"""

import importlib.util
import logging
import os
from pathlib import Path
from typing import Final

from facial_attributes_ros.engines.base import Engine
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.spec import ModelSpec

_LOGGER = logging.getLogger(__name__)

ENGINES: Final = ("auto", "onnx", "onnx-int8", "torch")
"""`onnx` is float32; `onnx-int8` quantises the linear layers per channel, and is auto's choice if the model allows."""

_INT8_FLAGS: Final = ("avx512_vnni", "avx_vnni", "asimddp")
_CUDA_FILES: Final = ("/dev/nvidiactl", "/dev/nvhost-ctrl-gpu", "/dev/nvgpu", "/dev/dxg")


def load_engine(
    model: str | Path = "small", device: str = "auto", engine: str = "auto", threads: int | None = None
) -> Engine:
    """Load a model into the engine that fits the device.

    Args:
        model: as in `models.registry.model_folder`.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; auto is CUDA where there is a GPU.
        engine: one of `ENGINES`; auto is PyTorch on CUDA and ONNX Runtime on a CPU.
        threads: number of CPU threads of one call; by default one per core.

    Raises:
        UserError: there is no such engine, device or model, or a package that the engine needs is missing.

    >>> import numpy as np
    >>> engine = load_engine("small", device="cpu")
    >>> image, boxes = np.zeros((480, 640, 3), np.uint8), [[100, 100, 80, 80], [300, 100, 60, 80]]
    >>> {task: logits.shape for task, logits in engine.from_frame(image, boxes).items()}
    {'age': (2, 9), 'gender': (2, 2), 'emotion': (2, 7)}
    """
    if engine not in ENGINES:
        raise UserError(f"There is no engine {engine!r}: choose one of {', '.join(ENGINES)}.")
    if threads is not None and threads < 1:
        raise UserError(f"An engine needs at least one thread, not {threads}.")
    folder = model_folder(model)
    spec = ModelSpec.identified(folder)
    if warning := unused_gpu(device, engine):
        _LOGGER.warning(warning)
    device = resolve_device(device, engine)
    chosen = _choose(spec, device) if engine == "auto" else engine
    _LOGGER.info("Model %s runs in engine %s on %s.", spec.title, chosen, device)
    loaded: Engine
    if chosen == "torch":
        if not importlib.util.find_spec("torch"):
            raise UserError("Engine torch needs PyTorch, which is not installed: pip install '.[torch]'.")
        from facial_attributes_ros.engines.torch import TorchEngine

        loaded = TorchEngine.load(folder, device=device, threads=threads)
    else:
        from facial_attributes_ros.engines.onnx import OnnxEngine

        loaded = OnnxEngine.load(folder, device=device, threads=threads, int8=chosen == "onnx-int8")
    loaded.spec = spec
    return loaded


def resolve_device(device: str, engine: str = "auto") -> str:
    """Return `cpu` or `cuda:N` for a user's choice of auto, cpu, cuda or cuda:N.

    GPUs are counted by the library of the engine, which is only imported if the machine has a driver of a GPU. Networks
    in int8 run on CPUs only.

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
        if _has_nvidia_device() and engine != "onnx" and not importlib.util.find_spec("torch"):
            raise UserError(f"device {device} needs PyTorch, which is not installed: pip install '.[torch]'.")
        raise UserError(f"There is no CUDA device {index or 0} here: choose cpu, or check the driver with nvidia-smi.")
    return f"cuda:{index or 0}" if count else "cpu"


def unused_gpu(device: str = "auto", engine: str = "auto") -> str:
    """Return a sentence if the machine has an NVIDIA device that `device: auto` can't use, else an empty string."""
    if device != "auto" or engine == "onnx-int8" or not _has_nvidia_device() or _cuda_devices(engine):
        return ""
    unused = "There is an NVIDIA GPU, and it is not used, since"
    if engine == "onnx":
        return f"{unused} onnxruntime was built without CUDA: install onnxruntime-gpu in its place."
    if not importlib.util.find_spec("torch"):
        return f"{unused} torch is not installed: pip install '.[torch]'."
    return (
        f"{unused} torch finds no CUDA device: check the driver with nvidia-smi, and that a build of torch for CUDA is "
        "installed."
    )


def _has_nvidia_device() -> bool:
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and any(Path(file).exists() for file in _CUDA_FILES)


def _cuda_devices(engine: str) -> int:
    if not _has_nvidia_device():
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
    # onnxruntime has no count of GPUs. The driver has one device file for each, except on Jetson, which has one GPU.
    return len([file for file in Path("/dev").glob("nvidia*") if file.name.removeprefix("nvidia").isdigit()]) or 1


def _choose(spec: ModelSpec, device: str) -> str:
    if device != "cpu":
        return "torch" if _cuda_devices_of_torch() else "onnx"
    if importlib.util.find_spec("onnxruntime"):
        return "onnx-int8" if spec.int8 and _has_int8_instructions() else "onnx"
    return "torch"


def _has_int8_instructions() -> bool:
    """Return True if the CPU multiplies int8 without saturation; on others, int8 loses accuracy."""
    try:
        return any(flag in Path("/proc/cpuinfo").read_text() for flag in _INT8_FLAGS)
    except OSError:
        return False
