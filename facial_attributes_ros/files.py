"""Files: JSON from unknown sources, hashes, locks, and atomic writes that are safe in several processes."""

import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from facial_attributes_ros.errors import UserError

_LOGGER = logging.getLogger(__name__)

LARGEST_JSON: Final = 64 * 2**20
"""Largest size in bytes of a JSON file."""
DEEPEST_JSON: Final = 32
"""Largest number of levels of objects and lists in a JSON document; code that copies or writes it recurses."""


def parse_json(text: str) -> Any:
    """Return the value of a JSON text from an unknown source.

    Raises:
        ValueError: it is not JSON, nested deeper than `DEEPEST_JSON`, or holds a number of thousands of digits.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON (line {error.lineno}: {error.msg})") from error
    except RecursionError:
        value = None
        deep = True
    except ValueError as error:  # Python refuses to convert such a number
        raise ValueError("not valid JSON: a number has too many digits") from error
    else:
        deep = _is_deep(value)
    if deep:
        raise ValueError(f"not valid JSON here: it is nested more than {DEEPEST_JSON} levels deep")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST_JSON):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return False
    return any(isinstance(child, dict | list) for child in level)


def read_json(path: Path) -> Any:
    """Return the value of a JSON file from an unknown source.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it can't be read, is larger than `LARGEST_JSON`, or `parse_json` refuses it.
    """
    try:
        if not path.is_file() and path.exists():
            raise UserError(f"{path} is not an ordinary file.")
        if path.stat().st_size > LARGEST_JSON:
            raise UserError(f"{path} is larger than {LARGEST_JSON // 2**20} MB, so it is not read.")
        return parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read: {error}.") from error
    except ValueError as error:
        raise UserError(f"{path} is {error}.") from error


def expanded(path: str | Path) -> Path:
    """Return a user's path with the home folder in place of a `~` at its start.

    Raises:
        UserError: there is no user of the name after `~`, or HOME is not set.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{path} names a home folder that is not known: set HOME, or give the whole path.") from error


@contextmanager
def utf8_name(path: Path) -> Iterator[str]:
    """Provide a name in UTF-8 of a file that exists or is to be written, for libraries that need one.

    The name is absolute, so that no library takes it for an address or an option. If the file's own name is not UTF-8,
    the name goes through a link while the block runs: a link to the folder if possible, so that a library may write
    another file first and rename it, or else a link to the file.
    """
    whole = Path(os.path.abspath(path))  # noqa: PTH100 (keeps links)
    if _is_utf8(str(whole)):
        yield str(whole)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "link"
        if _is_utf8(whole.name):
            link.symlink_to(whole.parent)
            yield str(link / whole.name)
        else:
            link = link.with_suffix(path.suffix if _is_utf8(path.suffix) else "")
            link.symlink_to(whole)
            yield str(link)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises:
        OSError: the file can't be read.
    """
    digest = hashlib.sha256()  # hashlib.file_digest comes with Python 3.11
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def locked(path: Path, busy: str = "") -> Iterator[None]:
    """Hold an exclusive lock for a file while the block runs.

    The kernel releases the lock at the end of the process, so that a killed process leaves nothing to clean up.

    Args:
        path: the file; its folder is made if it is missing.
        busy: message of the error if another process holds the lock; if it is empty, say so and wait for the lock.

    Raises:
        UserError: another process holds the lock, and `busy` is not empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if busy:
                raise UserError(busy) from error
            _LOGGER.info("Waiting for another process, which is making %s.", path.name)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def atomic_target(path: Path) -> Iterator[Path]:
    """Provide a temporary path beside `path`, and move it to `path` when the block ends without an error.

    Readers see the old file or the whole new one, never a part, even after a loss of power. If the block fails, the
    temporary file is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        yield temporary
        temporary.chmod(0o644)  # some writers make private files; a cache or a model is for everyone on the machine
        # A file system may store the new name before the content: after a loss of power the file would be empty.
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)


def remove_leftovers(path: Path) -> None:
    """Remove temporary files for `path` of processes that were killed; call it under the lock of `path`.

    The name may be a pattern: `*` for all files of a folder.
    """
    for leftover in path.parent.glob(f".{path.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the errors of a full disk and of a missing permission to write into a sentence about `path`.

    Raises:
        UserError: the block raised `OSError` for one of these reasons; other errors are not changed.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"There is no space left on the disk to write {path}: free some, or move the folder."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UserError(f"{path} can't be written: give write access to it, or choose another folder.") from error
        raise
