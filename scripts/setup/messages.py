"""Build the package's messages against the ROS wheels of the virtual environment."""

import hashlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from preflight import check_compiler
from ros_env import BUILD, PREFIX, VENV, include_folder, python_folder, ros_environment
from steps import ROOT, SetUpError, Stamp, command, say

_INPUTS = (ROOT / "msg", ROOT / "srv", ROOT / "CMakeLists.txt", ROOT / "package.xml")
PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")
"""Paths that the generators of messages and CMake take whole; others are cut at a letter, a quote or a semicolon."""
_FOREIGN_PYTHON = re.compile(r'[^;"]*/cp3\d+-cp3\d+/include/python3\.\d+')
_FOREIGN_NUMPY = re.compile(r'[^;"]*/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages/numpy/_?core/include')


def build_messages(lock: Path) -> None:
    """Generate, compile and install the messages, unless that was done with the same files.

    Args:
        lock: the lock file that the environment was made from; other ROS wheels mean building anew.

    Raises:
        SetUpError: no compiler, no Python headers, or the build failed.
    """
    built = Stamp(PREFIX / "stamp", [str(ROOT), sys.version, lock, *_INPUTS])
    root = plain_root()
    if built.valid():
        return
    check_compiler()
    say("Building the ROS messages (a quarter of a minute) ...")
    built.clear()
    # What was built through another path, which may be gone, is no start for this build.
    shutil.rmtree(BUILD, ignore_errors=True)
    mend_exported_paths(root)
    env = {name: value.replace(str(ROOT), str(root)) for name, value in ros_environment().items()}
    build, venv = root / BUILD.relative_to(ROOT), root / VENV.relative_to(ROOT)
    options = [
        "-DBUILD_TESTING=OFF",  # the generators would ask for ament's linters
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_INSTALL_PREFIX={root / PREFIX.relative_to(ROOT)}",
        f"-DPython3_EXECUTABLE={venv / 'bin' / 'python'}",
    ]
    cmake = venv / "bin" / "cmake"
    what = "build the ROS messages"
    command(what, [cmake, "-S", root, "-B", build, *options], env)
    command(what, [cmake, "--build", build, "--parallel"], env)
    # The Python code runs from the checkout, so only the messages are installed.
    command(what, [cmake, "--install", build, "--component", "Unspecified"], env)
    built.set()


def plain_root() -> Path:
    """Return a path of this checkout that the generators of messages can read.

    It is the checkout's own, or a link among the temporary files where that holds more than English letters, digits
    and the like.

    Raises:
        SetUpError: the link can't be made.
    """
    if PLAIN.fullmatch(str(ROOT)):
        return ROOT
    folder = tempfile.gettempdir() if PLAIN.fullmatch(tempfile.gettempdir()) else "/tmp"
    digest = hashlib.sha256(os.fsencode(ROOT)).hexdigest()[:12]
    link = Path(folder) / f"facial_attributes_ros-{os.geteuid()}-{digest}"
    if not (link.is_symlink() and link.lstat().st_uid == os.geteuid() and link.readlink() == ROOT):
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT)
    return link


def mend_exported_paths(root: Path = ROOT) -> None:
    """Put this interpreter's include folders where the wheels name those of the machine they were built on.

    Args:
        root: the checkout, by the path that is to be written.
    """
    numpy = root / python_folder(VENV).relative_to(ROOT) / "numpy" / "_core" / "include"
    exports = sorted((VENV / "share").glob("*/cmake/*Export.cmake"))
    if not exports:
        raise SetUpError("The ROS wheels are missing from .venv: remove that folder and run this again.")
    for path in exports:
        text = path.read_text()
        mended = _FOREIGN_NUMPY.sub(str(numpy), _FOREIGN_PYTHON.sub(str(include_folder()), text))
        if mended != text:
            # The wheel's file may be shared with uv's cache: write a new one instead of changing it in place.
            path.unlink()
            path.write_text(mended)
