"""PyTorch: half precision and CUDA graphs on a GPU, float32 on a CPU."""

import logging
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from typing_extensions import Self

from facial_attributes_ros.engines.base import Crops, Logits, check_crops, empty_logits, face_crops, face_frames
from facial_attributes_ros.engines.batches import FittingBatches, out_of_memory
from facial_attributes_ros.engines.deployed import DeployedModel
from facial_attributes_ros.engines.device_crop import crop_planes
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.registry import check_tasks, load_model
from facial_attributes_ros.models.spec import ModelSpec

BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32)
"""A GPU batch is padded to the next of these sizes, so that a few recorded graphs serve every number of faces."""
_WARM_SIDE: Final = 480
_LOGGER = logging.getLogger(__name__)

_Outputs = tuple[Tensor, ...]
_Tasks = tuple[str, ...]


class TorchEngine:
    """A merged network in PyTorch; see `engines.base.Engine`."""

    name = "torch"

    def __init__(self, deployed: DeployedModel, spec: ModelSpec, device: str = "cpu", graphs: bool = True) -> None:
        """Move a network to its device.

        Args:
            deployed: a merged model with all of its tasks; changed in place.
            spec: its description.
            device: `cpu` or `cuda:N`.
            graphs: record CUDA graphs per batch size, which saves the CPU the launch of every kernel.
        """
        self.spec = spec
        self.device = device
        self._batches = FittingBatches(BATCH_SIZES, device, self._free)
        self._on_gpu = device != "cpu"
        self._graphs: dict[tuple[int, _Tasks], CudaGraph] | None = {} if graphs and self._on_gpu else None
        """By number of faces and tasks; the graph without tasks computes the features for all of them."""
        self._network = deployed.eval().requires_grad_(False).to(device)
        if self._on_gpu:
            self._network.lower_precision(half_type(device))

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", threads: int | None = None) -> Self:
        """Load a model's folder.

        Raises:
            UserError: the model is damaged or does not fit on the device.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        model, spec = load_model(folder)
        try:
            return cls(DeployedModel(model, spec, spec.all_outputs), spec, device)
        except torch.cuda.OutOfMemoryError as error:
            raise UserError(
                f"Model {spec.name} does not fit into the memory of {device}: use a smaller one."
            ) from error

    def logits(self, crops: Crops, tasks: Iterable[str] | None = None) -> Logits:
        """See `Engine.logits`."""
        check_crops(crops, self.spec)
        wanted = check_tasks(self.spec, tasks)
        if not wanted or not len(crops):
            return empty_logits(self.spec, wanted)

        def planes(part: slice) -> Tensor:
            return torch.from_numpy(crops[part]).to(self.device).permute(0, 3, 1, 2)

        return self._in_batches(len(crops), planes, wanted)

    def from_frame(
        self,
        image: NDArray[np.uint8] | Tensor,
        boxes: ArrayLike,
        tasks: Iterable[str] | None = None,
        landmarks: ArrayLike | None = None,
    ) -> Logits:
        """See `Engine.from_frame`; the image may also be a tensor that is already on the device."""
        wanted = check_tasks(self.spec, tasks)
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        if not wanted or not len(boxes):
            return empty_logits(self.spec, wanted)
        if not self._on_gpu and isinstance(image, np.ndarray):
            return self.logits(face_crops(self.spec, image, boxes, landmarks), wanted)
        frames = face_frames(self.spec, boxes, landmarks)
        frame = torch.as_tensor(image).to(self.device, non_blocking=True)

        def planes(part: slice) -> Tensor:
            return crop_planes(frame, frames[part], self.spec.image_size)

        return self._in_batches(len(boxes), planes, wanted)

    def warm_up(self, batch_sizes: Iterable[int] = (1,), tasks: Iterable[str] | None = None) -> None:
        """See `Engine.warm_up`; on a GPU this records all graphs of the tasks, and the crop's kernels are loaded."""
        frame = np.zeros((_WARM_SIDE, _WARM_SIDE, 3), np.uint8)
        wanted = check_tasks(self.spec, tasks)
        for size in BATCH_SIZES if self._graphs is not None else batch_sizes:
            self.from_frame(frame, [[0, 0, _WARM_SIDE, _WARM_SIDE]] * size, wanted)

    def _in_batches(self, count: int, planes: Callable[[slice], Tensor], tasks: _Tasks) -> Logits:
        """Run the network on faces 0 to `count` in batches that fit; `planes` returns (n, 3, S, S) for some of them."""

        def run(part: slice) -> _Outputs:
            with torch.inference_mode():
                return self._run(planes(part), tasks)

        parts = self._batches.run(count, run)
        return {
            task: torch.cat(values).cpu().numpy() for task, values in zip(tasks, zip(*parts, strict=True), strict=True)
        }

    def _free(self, most: int) -> None:
        if self._graphs:
            self._graphs = {key: graph for key, graph in self._graphs.items() if key[0] <= most}
        torch.cuda.empty_cache()

    def _run(self, planes: Tensor, tasks: _Tasks) -> _Outputs:
        """Return the logits of these tasks without computing the heads and streams of others."""
        if self._graphs is None:
            return self._network.from_planes(planes, tasks)
        try:
            return self._run_graphs(self._graphs, planes, tasks)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            _LOGGER.warning("CUDA graphs can't be recorded here (%s); the engine runs without them.", error)
            self._graphs = None
            return self._network.from_planes(planes, tasks)

    def _run_graphs(self, graphs: "dict[tuple[int, _Tasks], CudaGraph]", planes: Tensor, tasks: _Tasks) -> _Outputs:
        """Run recorded graphs, recording those that are missing.

        The features have a graph, and the head of each task has one, so that a task is switched on by recording its
        head. With task streams, each set of tasks has a graph of its own, since the streams run through one network.
        """
        size = next(size for size in BATCH_SIZES if size >= len(planes))

        def run(key: _Tasks, function: Callable[[Tensor], _Outputs], inputs: Tensor) -> _Outputs:
            if (size, key) not in graphs:
                kind = inputs.dtype if inputs.is_floating_point() else torch.float32
                example = torch.zeros(size, *inputs.shape[1:], device=self.device, dtype=kind)
                graphs[size, key] = CudaGraph(function, example)
            return graphs[size, key](inputs)

        network = self._network
        if network.model.streams is not None:
            return run(tasks, partial(network.from_planes, tasks=tasks), planes)
        (features,) = run((), network.shared_features, planes)
        return tuple(run((task,), partial(network.head, task=task), features)[0] for task in tasks)


class CudaGraph:
    """The kernels of one batch size, recorded once and replayed as a whole."""

    def __init__(self, function: Callable[[Tensor], _Outputs], example: Tensor) -> None:
        self._input = example
        stream = torch.cuda.Stream(example.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(example.device))
        with torch.cuda.stream(stream):  # libraries choose their kernels in the first runs, which can't be recorded
            for _ in range(3):
                function(self._input)
        torch.cuda.current_stream(example.device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        # The stream that PyTorch records on by itself belongs to the first device that was ever recorded on.
        with torch.cuda.device(example.device), torch.cuda.graph(self._graph, stream=stream):
            self._outputs = function(self._input)

    def __call__(self, planes: Tensor) -> _Outputs:
        """Return the outputs for up to as many planes as the graph was recorded for."""
        self._input[: len(planes)].copy_(planes)
        self._graph.replay()
        return tuple(output[: len(planes)].clone() for output in self._outputs)


def half_type(device: str) -> torch.dtype:
    """Return bfloat16 where the GPU computes with it (compute capability 8 on), else float16."""
    return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
