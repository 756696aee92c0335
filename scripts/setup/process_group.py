"""Processes that belong together: started at once, watched, and ended together so that none is left behind."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from steps import SetUpError, die_with_parent

GRACE = 2.2
"""Seconds that the processes have to end after Ctrl-C before they are killed."""
_POLL = 0.05


Streams = tuple[int, int | None, int | None]
"""File descriptors of standard input, output and error; None for that of this process."""


@dataclass(frozen=True, slots=True)
class Member:
    """One process.

    Attributes:
        name: what it is called to the user, as in "The camera".
        process: it; the leader of a process group of its own, so that the terminal's Ctrl-C reaches only us.
        last: its end with code 0 ends the whole group in good order.
        patience: seconds the others go on after that end.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    last: bool
    patience: float


class Group:
    """Starts processes and ends all of them when one ends, on Ctrl-C, and on leaving the `with` block."""

    def __init__(self) -> None:
        self._members: list[Member] = []

    def __enter__(self) -> "Group":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(
        self,
        name: str,
        arguments: Sequence[str | Path],
        env: Mapping[str, str],
        cwd: Path,
        last: bool = False,
        patience: float = 0.0,
        blocked: Collection[signal.Signals] = (),
        streams: Streams = (subprocess.DEVNULL, None, None),
    ) -> None:
        """Start a process.

        Args:
            name: as in `Member`.
            arguments: the command and its arguments.
            env: all of its environment variables.
            cwd: where it runs.
            last: as in `Member`.
            patience: as in `Member`.
            blocked: signals that wait until the process unblocks them. A Python that is interrupted before its own
                handlers stand would show a traceback.
            streams: its standard input, output and error.
        """
        process = subprocess.Popen(
            [str(argument) for argument in arguments],
            env=dict(env),
            cwd=cwd,
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            process_group=0,
            preexec_fn=_prepare(blocked),
        )
        self._members.append(Member(name, process, last, patience))

    def wait(self) -> None:
        """Return when a member that may end has ended.

        Raises:
            SetUpError: a process ended that should have gone on; the sentence names it.
        """
        while True:
            for member in self._members:
                code = member.process.poll()
                if code == 0 and member.last:
                    time.sleep(member.patience)
                    return
                if code is not None:
                    raise SetUpError(f"The {member.name} {_ending(code)}; what it said last stands above.")
            time.sleep(_POLL)

    def end(self) -> None:
        """Ask every process to end, and kill what is left after `GRACE` seconds."""
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._signal(signal.SIGINT)
            deadline = time.monotonic() + GRACE
            while time.monotonic() < deadline and any(member.process.poll() is None for member in self._members):
                time.sleep(_POLL)
            self._signal(signal.SIGKILL)
            for member in self._members:
                member.process.wait()
        finally:
            signal.signal(signal.SIGINT, previous)

    def _signal(self, number: signal.Signals) -> None:
        for member in self._members:
            try:
                os.killpg(member.process.pid, number)
            except ProcessLookupError:
                continue  # the whole group has ended


def _ending(code: int) -> str:
    """Return in words how a process ended."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended by itself with code {code}"


def _prepare(blocked: Collection[signal.Signals]) -> Callable[[], None]:
    """Return what a child calls before it starts, to block signals and to be told when its parent is killed."""
    tie = die_with_parent(signal.SIGINT)

    def before_start() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        tie()

    return before_start
