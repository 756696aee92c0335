"""Throughput of a recipe's training, against a bare loop over the same network with batches from memory."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from facial_attributes_ros.errors import UserError

if TYPE_CHECKING:
    from facial_attributes_training.recipe.schema import Recipe

LOOP_STEPS: Final = 12
"""Steps of the training loop between two turns of the bare one."""
BARE_STEPS: Final = 6
MEMORY_BATCHES: Final = 4
PREFETCHED: Final = 4
"""Batches that a worker reads ahead."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Throughput of training.

    Attributes:
        batch: samples of a step.
        loop: samples/s of the training loop, waiting for data included.
        bare: samples/s of the bare loop: forward, loss, backward and optimiser on batches in memory.
        ratio: loop over bare.
        data: milliseconds per step that the loop waited for data, median.
        step: milliseconds per step that it computed, median.
        steps: number of measured steps of the loop.
    """

    batch: int
    loop: float
    bare: float
    ratio: float
    data: float
    step: float
    steps: int


class _EnoughError(Exception):
    """Ends the training loop when it was measured for long enough."""


@dataclass
class _Turns:
    """Receives every step of the loop, runs the bare loop in turns with it, and ends both."""

    bare: Callable[[], object]
    seconds: float
    progress: Callable[[float], object]
    prefetched: int
    waited: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    begun: float | None = None
    turn: int = 0

    def start_epoch(self, *_: Any) -> None: ...

    def epoch(self, *_: Any) -> None: ...

    def step(self, _progress: Any, _losses: Any, _rows: int, waited: float, worked: float) -> None:
        self.begun = self.begun or time.perf_counter()
        self.turn += 1
        # Batches that were loaded during the other loop's turn would flatter this one.
        if self.turn > self.prefetched:
            self.waited.append(waited)
            self.worked.append(worked)
            self.progress(waited + worked)
        if self.turn < self.prefetched + LOOP_STEPS:
            return
        self.turn = 0
        for _ in range(BARE_STEPS):
            start = time.perf_counter()
            self.bare()
            self.alone.append(time.perf_counter() - start)
            self.progress(self.alone[-1])
        if time.perf_counter() - self.begun >= self.seconds:
            raise _EnoughError


def bench_training(
    recipe: "Recipe", seconds: float = 120.0, progress: Callable[[float], object] = lambda _: None
) -> Throughput:
    """Train by a recipe, in a temporary folder, in turns with a bare loop.

    Args:
        recipe: the run; its first stage is measured.
        seconds: to measure.
        progress: called with the seconds that have passed since the last call.

    Raises:
        UserError: the recipe can't be trained, or it ends before anything was measured.
    """
    from facial_attributes_training.fit.run import train

    with TemporaryDirectory() as work:
        temporary = recipe.model_copy(update={"output": Path(work)})
        turns = _Turns(_bare_loop(recipe), seconds, progress, prefetched=PREFETCHED * recipe.workers + 1)
        turns.bare()
        with suppress(_EnoughError):
            train(temporary, make_report=lambda _tasks, _folder: turns)  # type: ignore[arg-type, return-value]
    if not turns.alone:
        raise UserError("The recipe ended before anything was measured: give it more epochs or samples, or less time.")
    batch = recipe.batch_size
    loop = batch * len(turns.waited) / (sum(turns.waited) + sum(turns.worked))
    bare = batch / float(np.mean(turns.alone))
    data, step = (1e3 * float(np.median(each)) for each in (turns.waited, turns.worked))
    return Throughput(batch, loop, bare, loop / bare, data, step, len(turns.waited))


def _bare_loop(recipe: "Recipe") -> Callable[[], object]:
    """Return a function that makes one step: the recipe's network and precision, cross entropy, plain AdamW."""
    import torch
    from facial_attributes_training.data.datasets import EpochBatches
    from facial_attributes_training.data.loading import drawn_batches
    from facial_attributes_training.fit.network import build_network, forward_from_inputs, frozen_depth
    from facial_attributes_training.fit.run_data import read_rows
    from torch.nn import functional

    tasks = recipe.stages[0]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_network(recipe).to(device).train()
    depth = frozen_depth(model)
    rows = read_rows(recipe, recipe.data.train, model.backbone, depth, True, None)
    forward = forward_from_inputs(model, recipe, depth)
    size = recipe.batch_size // recipe.accumulate
    order = np.random.default_rng(0).integers(len(rows.manifest), size=MEMORY_BATCHES * size)
    loader = drawn_batches(rows.inputs, EpochBatches(order, 0, size), recipe.workers, False)
    batches = [
        (part.inputs.to(device), {task: truth.to(device) for task, truth in part.labels(rows.manifest, tasks).items()})
        for part in loader
    ]
    optimizer = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-6)
    half = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(recipe.precision)
    endless = cycle(batches)

    def add_gradients() -> None:
        inputs, truth = next(endless)
        with torch.autocast(device.type, half, enabled=half is not None):
            logits = forward(inputs, tasks)
        known = [task for task in tasks if bool((truth[task] >= 0).any())]
        losses = [functional.cross_entropy(logits[task].float(), truth[task], ignore_index=-100) for task in known]
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]

    def step() -> None:
        for _ in range(recipe.accumulate):
            add_gradients()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return step
