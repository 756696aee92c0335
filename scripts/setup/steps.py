"""What every step of the set-up needs: its words to the user, its commands, and a memory of what is done."""

import ctypes
import errno
import fcntl
import hashlib
import os
import pwd
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_CAUSES = {
    r"no space left on device|os error 28\b|disk quota exceeded": (
        "there is no disk space left: free some and try again"
    ),
    r"temporary failure in name resolution|name or service not known|dns error|network is unreachable|"
    r"failed to (?:fetch|connect|lookup address)|connection (?:refused|reset|timed out)|connecttimeout|"
    r"could not connect|error sending request|newconnectionerror|max retries exceeded": (
        "the package index cannot be reached: check the network connection and try again"
    ),
    r"permission denied": "permission to write was denied: check who owns this folder and the caches",
}


_PR_SET_PDEATHSIG = 1
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


class SetUpError(Exception):
    """Something that the user can mend; the message is one sentence."""


def say(text: str) -> None:
    """Tell the user what goes on, on standard error so that results stay alone on standard output."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextmanager
def os_errors() -> Iterator[None]:
    """Turn a file that can't be read or written into a sentence.

    Raises:
        SetUpError: the block raised `OSError`.
    """
    try:
        yield
    except OSError as error:
        where = error.filename2 or error.filename or ROOT
        path = Path(os.fsdecode(where)) if isinstance(where, str | bytes | os.PathLike) else ROOT
        if error.errno in _READ_ONLY:
            raise SetUpError(
                f"{path} can't be written by {_user()}: have its owner run `make setup`, or work in a copy of your own."
            ) from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SetUpError(f"There is no disk space left for {path}: free some and try again.") from error
        raise SetUpError(f"{path} can't be used ({error.strerror or error}): mend it and try again.") from error


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # as in a container that runs with another number
        return f"user {os.geteuid()}"


def die_with_parent(number: signal.Signals) -> Callable[[], None]:
    """Return what a child calls before its program starts, to get a signal when this process is killed."""
    parent, prctl = os.getpid(), ctypes.CDLL(None, use_errno=True).prctl

    def before_start() -> None:
        prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(130)

    return before_start


def cause_of(output: str) -> str | None:
    """Return in plain words why a command failed, or None when its output names no known reason."""
    return next((words for pattern, words in _CAUSES.items() if re.search(pattern, output, re.IGNORECASE)), None)


def command(what: str, arguments: Sequence[str | Path], env: Mapping[str, str] | None = None) -> str:
    """Run a command silently and return its output.

    Args:
        what: what it does, to continue "Could not ...".
        arguments: the command and its arguments; it runs in the repository root.
        env: environment variables; those of this process if not given.

    Raises:
        SetUpError: the command failed; its last lines are shown when the reason is not known.
    """
    process = subprocess.Popen(
        [str(argument) for argument in arguments],
        cwd=ROOT,
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,
        preexec_fn=die_with_parent(signal.SIGKILL),
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        # Ctrl-C: the command's own children, compilers say, must not live on.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode == 0:
        return output
    cause = cause_of(output)
    if cause is None:
        say("\n".join(output.splitlines()[-30:]))
        cause = f"{Path(arguments[0]).name} failed with code {process.returncode}; its last lines stand above"
    raise SetUpError(f"Could not {what}: {cause}.")


def fingerprint(parts: Iterable[Path | str]) -> str:
    """Return a digest of texts and of the contents of files, and of the files inside folders.

    Compiled Python is left out: it comes and goes without meaning.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode(errors="surrogateescape") + b"\0")
            continue
        for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
            if file.is_file() and file.suffix != ".pyc":
                digest.update(os.fsencode(file.name) + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


class Stamp:
    """Remembers in a file that a step was done with certain inputs."""

    def __init__(self, path: Path, inputs: Iterable[Path | str]) -> None:
        self._path = path
        self._mark = fingerprint(inputs)

    def valid(self) -> bool:
        """Return whether the step was finished with these same inputs."""
        try:
            return self._path.read_text() == self._mark
        except OSError:
            return False

    def clear(self) -> None:
        """Forget the step before it runs, so that a broken-off one is done again."""
        self._path.unlink(missing_ok=True)

    def set(self) -> None:
        """Remember the step as done."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.write_text(self._mark)
        partial.replace(self._path)


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock file, waiting for another set-up of this checkout to end first.

    The kernel lets go of the lock when the process ends, however it ends. In a checkout that may only be read there is
    no lock, and nothing that it could keep apart: a step that has something to do fails.
    """
    descriptor = _open_lock(path)
    if descriptor is None:
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up of this checkout is running; waiting for it to end.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno in _READ_ONLY:
            return None
        raise
