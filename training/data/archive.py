"""Images by path, from folders and from tar archives without unpacking them.

An archive is indexed once by the offsets of its members; after that every image is one positioned read, in any order.
Positioned reads have no common file position, so one reader serves threads and forked worker processes alike.
"""

import os
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging import decoder

MAX_OPEN = 64
"""Archives that a reader keeps open; a process may open 1024 files by default."""
MEMBER_MARK = ".tar#"
"""Separates an archive from its member in a path; its `.tar` belongs to the archive."""


class ImageError(UserError):
    """An image that is missing or can't be decoded; the rest of the data may be fine."""


def is_remote(path: str) -> bool:
    """Return whether a path is an address, such as one on a web server."""
    return "://" in path


def split_member(path: str) -> tuple[str, str] | None:
    """Return (archive, member) of a path such as `shard.tar#folder/0.jpg`, None for a plain file."""
    archive, mark, member = path.partition(MEMBER_MARK)
    return (archive + MEMBER_MARK[:-1], member) if mark else None


def file_of(path: str) -> str:
    """Return the file of an image: its archive, or itself."""
    member = split_member(path)
    return member[0] if member else path


def file_state(path: str) -> tuple[int, int]:
    """Return size in bytes and time of the last change in nanoseconds of an image's file or archive; 0 without one."""
    try:
        state = Path(file_of(path)).stat()
    except (OSError, ValueError):  # no such file, or a name that no file can have
        return (0, 0)
    return (state.st_size, state.st_mtime_ns)


def index_archive(path: str | Path) -> dict[str, tuple[int, int]]:
    """Return offset and size in bytes of every regular file in an uncompressed tar archive, by member name.

    Raises:
        UserError: the archive is missing, on another machine, compressed, damaged or not a tar file.
    """
    if is_remote(str(path)):
        raise UserError(f"{path} is on another machine, where images can't be read in random order; copy it here.")
    try:
        if Path(path).exists() and not Path(path).is_file():  # a pipe or a device would never end
            raise UserError(f"the archive {path} is not an ordinary file.")
        with tarfile.open(path, "r:") as archive:
            return {entry.name: (entry.offset_data, entry.size) for entry in archive if entry.isreg()}
    except OSError as error:
        raise UserError(f"the archive {path} can't be read: {error.strerror or error}.") from error
    except tarfile.TarError as error:
        raise UserError(f"{path} is not a whole, uncompressed tar archive ({error}); get or pack it again.") from error


class ImageReader:
    """Reads images by path, `shard.tar#member` or plain file; safe to fork and to send to worker processes.

    Archives are indexed on first use, or by `index` beforehand, so that forked workers need not.
    """

    def __init__(self) -> None:
        self._indices: dict[str, dict[str, tuple[int, int]]] = {}
        self._files: dict[str, _OpenFile] = {}

    def index(self, paths: NDArray[np.str_] | list[str]) -> None:
        """Index every archive of some paths.

        Raises:
            UserError: an archive can't be read.
        """
        for archive in {found[0] for path in paths if (found := split_member(str(path)))}:
            self._index_of(archive)

    def read(self, path: str) -> bytes:
        """Return the encoded image.

        Raises:
            ImageError: the file or the archive's member can't be read.
            UserError: the archive can't be read.
        """
        parts = split_member(path)
        if parts is None:
            return _read_file(path)
        archive, member = parts
        place = self._index_of(archive).get(member)
        if place is None:
            raise ImageError(f"the archive {archive} has no member {member}.")
        try:
            decoder.check_length(place[1], f"the image {path}")
        except UserError as error:
            raise ImageError(str(error)) from error
        file = self._file_of(archive)
        data = os.pread(file.number, place[1], place[0])
        if len(data) < place[1]:
            raise ImageError(f"the archive {archive} ends inside its member {member}.")
        return data

    def image(self, path: str) -> NDArray[np.uint8]:
        """Return the image as uint8 (height, width, 3), BGR, turned upright by its EXIF orientation.

        Raises:
            ImageError: it is missing, cut off, or not an image.
            UserError: its archive can't be read.
        """
        return decode_image(self.read(path), path)

    def close(self) -> None:
        """Close the archives; they open again when they are needed."""
        self._files.clear()

    def __getstate__(self) -> dict[str, object]:
        return {"_indices": self._indices, "_files": {}}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)

    def _index_of(self, archive: str) -> dict[str, tuple[int, int]]:
        if archive not in self._indices:
            self._indices[archive] = index_archive(archive)
        return self._indices[archive]

    def _file_of(self, archive: str) -> "_OpenFile":
        file = self._files.get(archive)
        if file is None:
            file = self._files.setdefault(archive, _OpenFile(archive))
            if len(self._files) > MAX_OPEN:
                # Another thread may still read from the removed file; it closes with the last reference.
                self._files.pop(next(iter(self._files)), None)
        return file


class _OpenFile:
    """A file that is open as long as it is referenced.

    Attributes:
        number: the system's, for positioned reads.

    Raises:
        UserError: it can't be opened.
    """

    def __init__(self, path: str) -> None:
        try:
            self.number = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise UserError(f"the archive {path} can't be read: {error.strerror}.") from error

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


def _read_file(path: str) -> bytes:
    try:
        return decoder.read_within(Path(path))
    except UserError as error:
        raise ImageError(f"the image {error}") from error
    except OSError as error:
        raise ImageError(f"the image {path} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise ImageError(f"the image {path!r} can't be read: {error}.") from error


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode an image to uint8 (height, width, 3), BGR, turned upright by its EXIF orientation.

    Args:
        data: the encoded image in a format of `imaging.formats`.
        name: what to call it in an error.

    Raises:
        ImageError: it is empty, cut short, too large, or not an image.
    """
    try:
        return decoder.decode_image(data, f"the image {name}")
    except UserError as error:
        raise ImageError(str(error)) from error
