"""Child processes that end with this process: after Ctrl-C, after kill, and after kill -9.

A child is the leader of a process group of its own, so that the terminal's Ctrl-C reaches this process only, which then
ends the child. If this process is killed, the kernel ends the child.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from facial_attributes_ros.errors import UserError

_START: Final = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[1]))  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[2]):
    os._exit(1)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""Run by a small Python that becomes the program; subprocess's preexec_fn is not safe in a process with threads."""

_running: set["subprocess.Popen[Any]"] = set()
_lock = threading.Lock()
_over = threading.Event()


class StoppedError(UserError):
    """This process is ending, and so has ended a program that it had started."""


@contextmanager
def child(
    command: Sequence[str | Path], *, end: signal.Signals = signal.SIGKILL, patience: float = 5.0, **options: Any
) -> Iterator["subprocess.Popen[Any]"]:
    """Start a program, and end it at the end of the block, of this thread, or when `end_children` is called.

    Args:
        command: the program and its arguments.
        end: the signal that ends it.
        patience: seconds after that signal until it is killed.
        options: for `subprocess.Popen`; the default of `stdin` is an empty input.

    Raises:
        StoppedError: `end_children` was called, before or during the block.
    """
    options.setdefault("stdin", subprocess.DEVNULL)  # the terminal stops a program that reads beside this one
    starter = [sys.executable, "-I", "-S", "-c", _START, str(int(end)), str(os.getpid())]
    with _lock:
        if _over.is_set():
            raise StoppedError("This process is ending.")
        process = subprocess.Popen([*starter, *map(str, command)], process_group=0, **options)
        _running.add(process)
    try:
        yield process
    finally:
        _end(process, end, patience)
        with _lock:
            _running.discard(process)
    if _over.is_set():
        raise StoppedError(f"{Path(command[0]).name} was stopped, since this process is ending.")


def run(
    command: Sequence[str | Path], *, timeout: float | None = None, **options: Any
) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end, like `subprocess.run` with `text=True`; it ends with this process, as in `child`.

    Raises:
        subprocess.TimeoutExpired: it took longer than `timeout` seconds and was ended.
        StoppedError: as in `child`.
    """
    with child(command, text=True, **options) as process:
        output, errors = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def end_children() -> None:
    """End every running child; threads that wait for one leave their blocks with `StoppedError`."""
    with _lock:
        _over.set()
        for process in _running:
            _signal(process, signal.SIGKILL)


def _end(process: "subprocess.Popen[Any]", end: signal.Signals, patience: float) -> None:
    if process.poll() is None:
        _signal(process, end)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    _signal(process, signal.SIGKILL)  # also what it has started and left behind
    process.wait()


def _signal(process: "subprocess.Popen[Any]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
