"""Build the package's messages against the ROS wheels of the virtual environment."""

import re
import sys
from pathlib import Path

from preflight import check_compiler
from ros_env import BUILD, PREFIX, VENV, include_folder, python_folder, ros_environment
from steps import ROOT, SetUpError, Stamp, command, say

_INPUTS = (ROOT / "msg", ROOT / "CMakeLists.txt", ROOT / "package.xml")
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
    if built.valid():
        return
    check_compiler()
    say("Building the ROS messages (a quarter of a minute) ...")
    built.clear()
    mend_exported_paths()
    env = ros_environment()
    options = [
        "-DBUILD_TESTING=OFF",  # the generators would ask for ament's linters
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_INSTALL_PREFIX={PREFIX}",
        f"-DPython3_EXECUTABLE={VENV / 'bin' / 'python'}",
    ]
    cmake = VENV / "bin" / "cmake"
    what = "build the ROS messages"
    command(what, [cmake, "--fresh", "-S", ROOT, "-B", BUILD, *options], env)
    command(what, [cmake, "--build", BUILD, "--parallel"], env)
    # The Python code runs from the checkout, so only the messages are installed.
    command(what, [cmake, "--install", BUILD, "--component", "Unspecified"], env)
    built.set()


def mend_exported_paths() -> None:
    """Put this interpreter's include folders where the wheels name those of the machine they were built on."""
    numpy = python_folder(VENV) / "numpy" / "_core" / "include"
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
