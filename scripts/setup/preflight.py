"""What the machine must have before anything is installed, one sentence for each thing that is missing."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from steps import ROOT, SetUpError

NEEDED_BYTES = 8 * 10**9
"""The environment takes 5 GB; wheels are unpacked beside it on the way."""

_PROBE = "#include <Python.h>\nint main(void) { return PY_MAJOR_VERSION == 3 ? 0 : 1; }\n"


def check_python() -> None:
    """Raise SetUpError unless this interpreter is a supported one that can make virtual environments."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise SetUpError(f"Python {platform.python_version()} is not supported: use 3.11, 3.12 or 3.13 (PYTHON=...).")
    try:
        import ensurepip  # noqa: F401 - Debian and Ubuntu ship Python without it
    except ImportError:
        raise SetUpError(
            f"This Python cannot make virtual environments: install its venv package (Debian and Ubuntu: "
            f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv)."
        ) from None


def check_path() -> None:
    """Raise SetUpError where no environment can be made: search paths are cut at colons, files at the ends of lines."""
    if os.pathsep in str(ROOT) or "\n" in str(ROOT):
        raise SetUpError(f"The path of this checkout, {str(ROOT)!r}, holds a colon or a line's end: move it elsewhere.")


def check_platform() -> None:
    """Raise SetUpError where the ROS 2 wheels do not exist."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise SetUpError(
            f"ROS 2 wheels exist only for Linux on x86-64, and this is {platform.system()} on {platform.machine()}: "
            f"install ROS 2 Jazzy itself, source it, and run this again."
        )


def check_disk(folder: Path = ROOT, needed: int = NEEDED_BYTES) -> None:
    """Raise SetUpError when the disk of a folder has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SetUpError(
            f"The installation needs {needed / 1e9:.0f} GB of disk space and {folder} has {free / 1e9:.1f} GB left: "
            f"free some and try again."
        )


def check_compiler() -> None:
    """Raise SetUpError unless C and C++ programs that use Python can be compiled."""
    for variable, names, what in (("CC", ("cc", "gcc", "clang"), "C"), ("CXX", ("c++", "g++", "clang++"), "C++")):
        chosen = os.environ.get(variable, "").split()[:1]
        if not any(shutil.which(name) for name in chosen or names):
            raise SetUpError(
                f"No {what} compiler was found, and building the ROS messages needs one: install it "
                f"(Debian and Ubuntu: apt-get install build-essential)."
            )
    headers = Path(sysconfig.get_paths()["include"])
    if not (headers / "Python.h").is_file():
        raise SetUpError(
            f"The headers of Python (Python.h in {headers}) are missing, and building the ROS messages needs them: "
            f"install them (Debian and Ubuntu: apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-dev)."
        )
    _compile_probe(headers)


def _compile_probe(headers: Path) -> None:
    """Compile a program of two lines; a compiler without the C library's headers fails here and not later."""
    compiler = next(filter(None, map(shutil.which, [*os.environ.get("CC", "").split()[:1], "cc", "gcc", "clang"])))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.c"
        source.write_text(_PROBE)
        arguments = [str(compiler), "-I", str(headers), "-c", str(source), "-o", str(source.with_suffix(".o"))]
        result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SetUpError(
            f"The C compiler {compiler} cannot compile a program of two lines: install the C library's headers too "
            f"(Debian and Ubuntu: apt-get install build-essential)."
        )
