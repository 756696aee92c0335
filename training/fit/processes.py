"""The processes of a run: joined on GPUs or on CPUs, and with one error message for all."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list

from facial_attributes_ros.errors import UserError

_PATIENCE = timedelta(days=1)
"""How long processes wait for the one that computes features or writes the model."""
_PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
"""Variables in which torchrun and MPI give the number of processes."""
_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK")
"""Variables in which they give the number of this process."""
_SILENCE = 60.0
"""Seconds for which the other processes wait before they report an error themselves."""


def join_processes(precision: str) -> Accelerator:
    """Join the processes that a launcher started, on the GPUs if there are any and on the CPUs otherwise.

    Args:
        precision: as in a recipe.

    Raises:
        UserError: there are fewer GPUs than processes, the precision is none of the device's, or the processes can't
            be joined and each would train by itself.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    started = _started()
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if 0 < gpus < here:
        raise UserError(
            f"{here} processes were started on this machine, but it has {gpus} GPU(s): start one process a GPU, or set "
            "CUDA_VISIBLE_DEVICES=-1 to train on the CPUs."
        )
    if precision == "float16" and not gpus:
        raise UserError("precision float16 needs a GPU: set precision=bfloat16, or float32.")
    # The state of an earlier run in this process is for its own precision only; the process group stays.
    AcceleratorState._reset_state()
    try:
        accelerator = Accelerator(
            # Processes without a GPU are only joined if the CPU is requested.
            cpu=started > 1 and not gpus,
            mixed_precision=_PRECISIONS[precision],
            kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
        )
    except ValueError as error:
        raise UserError(f"precision {precision} can't be had on this device: {str(error).rstrip('.')}.") from error
    if accelerator.num_processes != started:
        raise UserError(
            f"{started} processes were started, but this one is joined with {accelerator.num_processes - 1} others: "
            "start them with torchrun, as docs/training.md describes."
        )
    return accelerator


def on_main(accelerator: Accelerator, action: Callable[[], None]) -> None:
    """Do something in the main process while the others wait.

    Raises:
        UserError: the action raised it; all processes then do.
    """
    message = [""]
    if accelerator.is_main_process:
        try:
            action()
        except UserError as error:
            message = [str(error)]
    if accelerator.num_processes > 1:
        broadcast_object_list(message)
    if message[0]:
        raise UserError(message[0])


def anywhere(accelerator: Accelerator, *here: bool) -> tuple[bool, ...]:
    """Return whether each flag is set in any process; all processes must call it, and get the same answer."""
    if accelerator.num_processes == 1:
        return here
    flags = torch.tensor(here, dtype=torch.float32, device=accelerator.device)
    return tuple((accelerator.reduce(flags, "sum") > 0).tolist())


@contextmanager
def one_voice() -> Iterator[None]:
    """Let the first of several processes report an error.

    A launcher ends all processes as soon as one of them ends, so the others wait for that: otherwise the first might be
    ended before it has reported. After a while the others report errors that the first did not meet.

    Raises:
        UserError: as the block raised it.
    """
    try:
        yield
    except UserError as error:
        if max(_numbers(_SIZES), default=1) == 1:
            raise
        if max(_numbers(_RANKS), default=0) > 0:
            time.sleep(_SILENCE)
            raise
        if "TORCHELASTIC_RUN_ID" in os.environ:
            raise UserError(f"{error} (Ignore what torch.distributed reports below.)") from error
        raise


def _numbers(names: tuple[str, ...]) -> list[int]:
    return [int(os.environ[name]) for name in names if os.environ.get(name)]


def _started() -> int:
    """Return how many processes the launcher started.

    Raises:
        UserError: several were asked for, and this is the only one.
    """
    started = max(_numbers(_SIZES), default=1)
    by_accelerate = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_ADDR" in os.environ
    if by_accelerate and started == 1 and "LOCAL_RANK" not in os.environ:
        # Without GPUs `accelerate launch` starts a single process, however many it is asked for.
        raise UserError(
            "accelerate launch was asked for several processes, but started only one: give it --multi_gpu, which works "
            "on CPUs too, or use torchrun."
        )
    return started
