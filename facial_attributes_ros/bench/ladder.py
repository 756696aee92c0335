"""What each adaptation costs to run and to train on this machine, with random weights."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.bench.timing import MINIMUM_RUNS
from facial_attributes_ros.engines.batches import out_of_memory
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import Adaptation, build_model, merge
from facial_attributes_ros.models.adaptations.loraplus import parameter_groups
from facial_attributes_ros.models.backbones.base import Backbone
from facial_attributes_ros.models.backbones.build import build_backbone
from facial_attributes_ros.models.counts import operations

BARE: Final = "backbone"
"""The row of the bare backbone, without heads."""
FORWARD: Final = (BARE, "lp", "ft-4", "lora", "mtlora", "full")
FORWARD_BATCHES: Final = (1, 4, 16, 32)
TRAINING: Final = ("lp", "ft-4", "dora", "mtlora", "full")
TRAINING_BATCHES: Final = (16, 64)
PRECISIONS: Final = {"bfloat16": torch.bfloat16, "float32": torch.float32}
OUT_OF_MEMORY: Final = "out of memory"
WARM_UP: Final = 3
MATRIX_SIDE: Final = {"cuda": 8192, "cpu": 2048}
"""Rows and columns of the matrices whose product stands for what a device can do."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a row of the table measures.

    Attributes:
        phase: `forward`, with adapters merged, or `training`: forward, backward and optimiser.
        adaptation: its name, or `BARE`.
        batch: faces.
        checkpointing: whether blocks are computed again in the backward pass instead of kept.
    """

    phase: str
    adaptation: str
    batch: int
    checkpointing: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a step; numbers are None where it could not run.

    Attributes:
        milliseconds: median.
        faces_per_second: batch over median.
        peak_memory: MB, weights included: what PyTorch allocated on a GPU, what the whole process had resident on a CPU
            (None where the system does not report it).
        teraflops: 10^12 operations a second, 2 per multiply-add, attention included; counted for forward only.
        runs: number of measurements.
        note: why there are no numbers, such as `OUT_OF_MEMORY`.
    """

    milliseconds: float | None = None
    faces_per_second: float | None = None
    peak_memory: float | None = None
    teraflops: float | None = None
    runs: int = 0
    note: str = ""


def ladder_steps(batches: Sequence[int] | None = None) -> list[Step]:
    """Return the steps to measure, those of one network side by side.

    Args:
        batches: for forward and training alike instead of `FORWARD_BATCHES` and `TRAINING_BATCHES`; training has no
            batches of one, which batch normalisation refuses.
    """
    trained = [batch for batch in batches or TRAINING_BATCHES if batch > 1]
    forward = [Step("forward", name, batch) for name in FORWARD for batch in batches or FORWARD_BATCHES]
    return forward + [
        Step("training", name, batch, checkpointing)
        for name in TRAINING
        for checkpointing in (False, True)
        for batch in trained
    ]


def bench_ladder(
    backbone: str,
    steps: Sequence[Step],
    device: str,
    precision: str,
    seconds: float = 2.0,
    image_size: int | None = None,
    **architecture: Any,
) -> Iterator[tuple[Step, Cost]]:
    """Measure steps one after the other; one that has too little memory does not keep the others from running.

    Forward runs with weights of the precision; training keeps weights in float32 and computes in the precision.

    Args:
        backbone: a name that `build_backbone` knows.
        steps: as `ladder_steps` gives them.
        device: `cpu`, `cuda` or `cuda:N`.
        precision: a key of `PRECISIONS`.
        seconds: to measure each step for, but `MINIMUM_RUNS` in any case.
        image_size: side of the input in pixels, if not the backbone's own.
        architecture: passed to timm, to measure small or changed networks.

    Raises:
        UserError: there is no such backbone.
    """
    with torch.device("meta"):  # drawing hundreds of millions of numbers on a CPU takes minutes
        template = build_backbone(backbone, image_size=image_size, **architecture)
    where, dtype = torch.device(device), PRECISIONS[precision]
    built: tuple[str, str] | None = None
    network: _Forward | _Training | None = None
    for step in steps:
        if (step.phase, step.adaptation) != built or network is None:
            network = None  # its memory is needed for the next
            _free(where)
        try:
            if network is None:
                kind = _Forward if step.phase == "forward" else _Training
                network = kind(template, step.adaptation, where, dtype)
            cost = _measure(network.prepare(step), step.batch, where, seconds, network.gflops)
        except UserError as error:
            cost = Cost(note=str(error))
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            cost = Cost(note=OUT_OF_MEMORY)
        built = step.phase, step.adaptation
        # Outside the handler, where the error no longer holds the tensors of the step.
        if cost.note and network is not None:
            network.module.zero_grad(set_to_none=True)
            _free(where)
        yield step, cost


def matrix_product(device: str, precision: str, seconds: float = 2.0) -> float:
    """Return the TFLOP/s of one large matrix product: the arithmetic limit that can be reached in practice.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
        precision: a key of `PRECISIONS`.
        seconds: to measure.
    """
    where = torch.device(device)
    side = MATRIX_SIDE[where.type]
    one, other = (torch.randn(side, side, device=where, dtype=PRECISIONS[precision]) for _ in range(2))

    def run() -> None:
        torch.mm(one, other)

    return _measure(run, 1, where, seconds, 2 * side**3 / 1e9).teraflops or 0.0


def random_backbone(template: Backbone, device: torch.device) -> Backbone:
    """Return a copy of a backbone on the meta device with random weights on another device.

    The values have a sensible scale and no meaning; buffers, such as fixed tables, are filled with ones.
    """
    backbone = deepcopy(template).to_empty(device=device)
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.02)
            else:
                parameter.fill_(0.5)
        for buffer in backbone.buffers():
            buffer.fill_(1 if buffer.is_floating_point() else 0)
    return backbone


class _Forward:
    """The network of an adaptation with its adapters merged, or the bare backbone."""

    def __init__(self, template: Backbone, name: str, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.side = template.preprocess.image_size
        with torch.device("meta"):
            counted, image = self._network(deepcopy(template), name), torch.empty(1, 3, self.side, self.side)
            self.gflops = operations(lambda: counted(image))[1]
        self.module = self._network(random_backbone(template, device), name)
        self.module.requires_grad_(False).eval().to(device, dtype)

    @staticmethod
    def _network(backbone: Backbone, name: str) -> nn.Module:
        if name == BARE:
            return backbone.eval()
        model = build_model(backbone, Adaptation.named(name))
        merge(model)
        return model.eval()

    def prepare(self, step: Step) -> Callable[[], None]:
        images = torch.randn(step.batch, 3, self.side, self.side, device=self.device, dtype=self.dtype)

        def run() -> None:
            with torch.inference_mode():
                self.module(images)

        return run


class _Training:
    """The network of an adaptation, and its optimiser."""

    gflops = None

    def __init__(self, template: Backbone, name: str, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        adaptation = Adaptation.named(name)
        self.module = build_model(random_backbone(template, device), adaptation).to(device).train()
        self.optimizer = torch.optim.AdamW(parameter_groups(self.module, adaptation, lr=1e-5))

    def prepare(self, step: Step) -> Callable[[], None]:
        backbone = self.module.backbone
        backbone.gradient_checkpointing = step.checkpointing
        side = backbone.preprocess.image_size
        images = torch.randn(step.batch, 3, side, side, device=self.device)
        labels = {
            task: torch.randint(len(LABELS[task]), (step.batch,), device=self.device) for task in self.module.tasks
        }

        def run() -> None:
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                logits = self.module(images)
            losses = [functional.cross_entropy(logits[task].float(), labels[task]) for task in labels]
            torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)

        return run


def _measure(
    run: Callable[[], None], batch: int, device: torch.device, seconds: float, gflops: float | None = None
) -> Cost:
    """Time a call on a batch; `gflops` are the 10^9 operations of one face, None if they were not counted."""
    for _ in range(WARM_UP):
        run()
    _reset_peak(device)
    spent: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(spent) < MINIMUM_RUNS:
        spent.append(_milliseconds(run, device))
    median = float(np.median(spent))
    teraflops = None if gflops is None else gflops * batch / median
    return Cost(median, 1e3 * batch / median, _peak(device), teraflops, len(spent))


def _milliseconds(run: Callable[[], None], device: torch.device) -> float:
    if device.type != "cuda":
        start = time.perf_counter()
        run()
        return 1e3 * (time.perf_counter() - start)
    stream = torch.cuda.current_stream(device)
    torch.cuda.synchronize(device)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    first.record(stream)
    run()
    last.record(stream)
    torch.cuda.synchronize(device)
    return float(first.elapsed_time(last))


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    # Where the system has no such file, the figure is the peak since the process began.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak(device: torch.device) -> float | None:
    """Return the peak since `_reset_peak` in MB, or None."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return peaks[0] * 1024 / 1e6 if peaks else None


def _free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def device_name(device: str) -> str:
    """Return a device and, for a GPU, its model."""
    return device if device == "cpu" else f"{device} ({torch.cuda.get_device_name(device)})"
