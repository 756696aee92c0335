"""The files of a folder and its subfolders; files that are dropped are logged."""

import logging
import os
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path

from facial_attributes_ros.errors import UserError

_LOG = logging.getLogger(__name__)

_NOT_READ = frozenset(
    {".heic", ".heif", ".jxl", ".hdr", ".exr", ".psd", ".svg", ".tga", ".ico", ".pam", ".pfm", ".ras"}
)
_NOT_READ |= {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"}
"""Suffixes of image formats that are not supported."""


def files_in(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """Return the files of a folder and its subfolders whose names have one of the suffixes, in order of their names.

    Links to folders are followed, each real folder once. Hidden files and folders, such as the `._*` files that a Mac
    writes on other disks, images in formats that are not supported, and broken links are dropped, with a warning.

    Raises:
        UserError: there is no permission to read the folder.
    """
    try:
        next(folder.iterdir(), None)
    except PermissionError as error:
        raise UserError(f"There is no permission to read the folder {folder}.") from error
    found = sorted(path for path in _walk(folder) if path.suffix.lower() in suffixes | _NOT_READ)
    wanted = [path for path in found if path.suffix.lower() in suffixes and not _hidden(path, folder)]
    files = [path for path in wanted if path.is_file()]
    kept = {*files}
    _report(folder, [path for path in found if path not in kept])
    return files


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; those behind links to folders come after those of all real folders."""
    seen: set[tuple[int, int]] = set()
    links = deque([folder])
    while links:
        top = links.popleft()
        if top is not folder and (reason := _not_followed(top, seen)):
            _LOG.warning("The link %s is dropped: %s.", top, reason)
            continue
        for parent, folders, names in os.walk(top, onerror=_report_error):
            seen.add(_identity(Path(parent)))
            below = [Path(parent, name) for name in sorted(folders)]
            links += [path for path in below if path.is_symlink()]
            # Behind a link may lie a folder that was read already.
            folders[:] = [path.name for path in below if not path.is_symlink() and _identity(path) not in seen]
            yield from (Path(parent, name) for name in names)


def _not_followed(link: Path, seen: set[tuple[int, int]]) -> str:
    """Return the reason why a link to a folder is not followed, an empty text if it is followed."""
    target = link.resolve()
    if link.parent.resolve().is_relative_to(target):
        return "it leads back to a folder that it lies in"
    return "it leads to a folder that is read already" if _identity(link) in seen else ""


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _report_error(error: OSError) -> None:
    _LOG.warning("The folder %s is dropped: %s.", error.filename, error.strerror)


def _report(folder: Path, dropped: list[Path]) -> None:
    """Log the dropped files of a folder, one line for each reason."""
    reasons = Counter(
        "they are hidden"
        if _hidden(path, folder)
        else "they are not files, or links to nothing"
        if path.suffix.lower() not in _NOT_READ
        else f"the format {path.suffix.lower()} is not read"
        for path in dropped
    )
    for reason, number in sorted(reasons.items()):
        _LOG.warning("In %s %d files are dropped: %s.", folder, number, reason)
