"""The folder for files that can be made again: model files, built engines, and the caches of dependencies."""

import logging
import os
import stat
import tempfile
from functools import cache
from pathlib import Path

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import expanded

_LOGGER = logging.getLogger(__name__)
_NAME = "facial_attributes_ros"


def cache_dir() -> Path:
    """Return the cache: FACIAL_ATTRIBUTES_CACHE, else facial_attributes_ros in XDG_CACHE_HOME or ~/.cache.

    It may not exist yet, and it may be read-only: see `writable_cache`. For a user without a home, as in a container
    with `--user 12345`, it is `temporary_cache`, with a warning.

    Raises:
        UserError: FACIAL_ATTRIBUTES_CACHE names the home of an unknown user, or no folder can be written.
    """
    if chosen := os.environ.get("FACIAL_ATTRIBUTES_CACHE"):
        return expanded(chosen)
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    try:
        return base.expanduser() / _NAME
    except RuntimeError:
        return _with_warning(temporary_cache(), "There is no home folder (HOME is not set)")


def writable_cache() -> Path:
    """Return a folder for new files: `cache_dir`, or `temporary_cache` with a warning if that is read-only.

    Raises:
        UserError: as in `cache_dir`.
    """
    folder = cache_dir()
    return folder if can_write(folder) else _with_warning(temporary_cache(), f"{folder} can't be written")


def can_write(folder: Path) -> bool:
    """Return True if files can be made in a folder, or the folder itself if it does not exist yet."""
    # Unlike Path's method, os.path.exists returns False inside a folder without permission.
    existing = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))  # noqa: PTH110
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def temporary_cache() -> Path:
    """Make and return this user's private folder among the system's temporary files.

    Raises:
        UserError: temporary files can't be written either.
    """
    try:
        return _private(Path(tempfile.gettempdir()) / f"{_NAME}-{os.geteuid()}")
    except OSError as error:
        raise UserError(
            f"Neither the cache nor temporary files can be written ({error}): set FACIAL_ATTRIBUTES_CACHE to a folder "
            "that can be."
        ) from error


@cache  # so that the reason is logged once
def _with_warning(folder: Path, reason: str) -> Path:
    _LOGGER.warning(
        "%s, so files are kept in %s: set FACIAL_ATTRIBUTES_CACHE to a folder that can be written.", reason, folder
    )
    return folder


def _private(folder: Path) -> Path:
    """Return a folder that no other user can write to: this one, or a new one if another user owns it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077
    return folder if ours else Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))
