"""Files: JSON from anybody, and what several processes may want at once: hashes, locks and atomic writes."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from facial_attributes_ros.errors import UserError

LARGEST_JSON: Final = 64 * 2**20
"""Bytes of a JSON file that is read."""
DEEPEST_JSON: Final = 32
"""Levels of objects and lists that a JSON document may have; what copies or writes it again recurses."""


def parse_json(text: str) -> Any:
    """Return the value of a JSON text that may come from anybody.

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
    """Return the value of a JSON file that may come from anybody.

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
    """Return a path that a user gave, with a `~` at its start made the home folder.

    Raises:
        UserError: nobody has the name, or it is the user's own and HOME is not set.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{path} names a home folder that is not known: set HOME, or give the whole path.") from error


@contextmanager
def utf8_name(path: Path) -> Iterator[str]:
    """Give a name in UTF-8 of a file that exists or is to be written, for libraries that take no other.

    The name is absolute, so that no library takes it for an address or an option. Where the file's own is not UTF-8,
    it leads, as long as the block runs, through a link: to the folder if that is enough, so that a library may write
    another file first and rename it, or to the file.
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
    """Hold an exclusive lock named after a file while the block runs.

    The kernel drops the lock with its process, so that a killed one leaves nothing to clean up.

    Args:
        path: the file; its folder is made if need be.
        busy: what to say if another process holds the lock; wait for it if empty.

    Raises:
        UserError: another process holds the lock, and there is something to say.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise UserError(busy) from error
        yield


@contextmanager
def atomic_target(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, and move it onto `path` when the block ends well.

    Readers see the old file or the whole new one, never a part, even after the power has failed; a block that fails
    leaves nothing behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        yield temporary
        temporary.chmod(0o644)  # some writers make private files; a cache or a model is for everyone on the machine
        # A file system may store the new name before the content: the old file would be gone, and the new one empty.
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)


def remove_leftovers(path: Path) -> None:
    """Remove what a process that was killed left of its work on `path`; call it under the lock of `path`.

    The name may be a pattern: `*` for all files of a folder.
    """
    for leftover in path.parent.glob(f".{path.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk and a folder that may not be written into a sentence about `path`.

    Raises:
        UserError: the block raised `OSError` for one of these reasons; other errors pass.
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
