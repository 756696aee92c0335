"""The bare backbone of a model: what its features alone cost, without anything of ours around them."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from facial_attributes_ros.engines.base import Engine
from facial_attributes_ros.models.spec import ModelSpec


def bare_backbone(folder: Path, engine: Engine, threads: int | None = None) -> Callable[[int], object]:
    """Return a function that runs a model's backbone on a number of faces, in the engine's own kind and precision.

    Its input is normalised already, and its output are features.
    """
    spec = ModelSpec.read(folder)
    if engine.name == "torch":
        return _bare_in_torch(folder, spec, engine.device)
    return _bare_in_onnx(folder, spec, engine, threads)


def _bare_in_torch(folder: Path, spec: ModelSpec, device: str) -> Callable[[int], object]:
    import torch

    from facial_attributes_ros.engines.torch import CudaGraph, half_type
    from facial_attributes_ros.models.registry import load_model

    on_gpu = device != "cpu"
    dtype = half_type(device) if on_gpu else torch.float32
    backbone = load_model(folder)[0].backbone.to(device, dtype).requires_grad_(False)
    if on_gpu:
        backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    graphs: dict[int, CudaGraph] = {}

    def features(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (backbone(images.to(dtype)).float(),)

    def run(count: int) -> object:
        with torch.inference_mode():
            images = torch.zeros(count, 3, spec.image_size, spec.image_size, device=device)
            if on_gpu and count not in graphs:
                graphs[count] = CudaGraph(features, images)
            return (graphs[count] if on_gpu else features)(images)[0].cpu()

    return run


def _bare_in_onnx(folder: Path, spec: ModelSpec, engine: Engine, threads: int | None) -> Callable[[int], object]:
    import torch

    from facial_attributes_ros.engines.onnx import open_session
    from facial_attributes_ros.engines.onnx_export import INPUT, quantise, write_onnx
    from facial_attributes_ros.models.registry import load_model

    with TemporaryDirectory() as work:
        path = Path(work) / "float32.onnx"
        write_onnx(
            load_model(folder)[0].backbone, torch.zeros(2, 3, spec.image_size, spec.image_size), ["features"], path
        )
        if engine.name == "onnx-int8":
            quantise(path, path.with_name("int8.onnx"))
            path = path.with_name("int8.onnx")
        session = open_session(path, engine.device, threads)

    def run(count: int) -> object:
        return session.run(None, {INPUT: np.zeros((count, 3, spec.image_size, spec.image_size), np.float32)})

    return run
