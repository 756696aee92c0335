"""The virtual environments: made with the standard library, filled by uv from the locked requirements."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from preflight import NEEDED_BYTES, check_disk, check_platform
from steps import ROOT, SetUpError, Stamp, command, say

VENV = ROOT / ".venv"
OLDEST = ROOT / ".venv-oldest"
RUN_LOCK = ROOT / "requirements" / "run.txt"
"""What running needs: the part of `LOCK` without PyTorch, training and tests."""
LOCK = ROOT / "requirements" / "lock.txt"
OLDEST_LOCK = ROOT / "requirements" / "oldest.txt"
ROBOT = ROOT / ".venv-robot"
ROBOT_LOCK = ROOT / "requirements" / "robot.txt"
ROBOT_TORCH_LOCK = ROOT / "requirements" / "robot-torch.txt"
"""For a robot with a GPU: PyTorch beside the rest."""

_RUN_MODULES = (
    *("rclpy", "cv2", "numpy", "onnx", "onnxruntime", "PIL", "safetensors", "scipy", "tqdm", "yaml"),
    *("jinja2", "starlette", "uvicorn", "websockets"),
)
_TORCH_MODULES = ("accelerate", "huggingface_hub", "peft", "timm", "torch", "torchvision")
_NEEDED_BYTES = {RUN_LOCK: 2 * 10**9, ROBOT_LOCK: 2 * 10**9}
"""Disk space to have free for a lock, wheels that are unpacked on the way included; for the others `NEEDED_BYTES`."""
_SIZES = {RUN_LOCK: "0.7 GB; a quarter of a minute"}


def make_environment(venv: Path, lock: Path) -> None:
    """Bring a virtual environment to what a lock file names, plus this project, editable.

    An environment that was filled from `RUN_LOCK` is filled up from `LOCK`; one that was filled from `LOCK` has all of
    `RUN_LOCK`.

    Raises:
        SetUpError: it could not be made or filled.
    """
    _make_venv(venv, lock)
    packages = _packages(venv, lock)
    if not packages.valid() and not (lock == RUN_LOCK and _packages(venv, LOCK).valid()):
        check_disk(needed=_NEEDED_BYTES.get(lock, NEEDED_BYTES))
        _install_uv(venv, lock)
        size = _SIZES.get(lock, "5 GB; a minute or two")
        say(f"Installing the packages of {lock.relative_to(ROOT)} into {venv.name} ({size}) ...")
        # Not `sync`: it would take the metadata that the ROS wheels bring along for packages that must go.
        uv(venv, "install the packages", "--require-hashes", "-r", lock)
        packages.set()
    project = Stamp(venv / "stamps" / "project", [ROOT / "pyproject.toml", ROOT / "setup.py"])
    if not project.valid():
        uv(venv, "install this project", "--no-deps", "--no-build-isolation", "--editable", ROOT)
        project.set()


def has_gpu() -> bool:
    """Return whether the machine has an NVIDIA device, for which PyTorch is installed."""
    return any(Path(file).exists() for file in ("/dev/nvidiactl", "/dev/nvhost-ctrl-gpu", "/dev/nvgpu", "/dev/dxg"))


def _packages(venv: Path, lock: Path) -> Stamp:
    return Stamp(venv / "stamps" / f"packages-{lock.stem}", [_pins(lock)])


def uv(venv: Path, what: str, *arguments: str | Path) -> None:
    """Run `uv pip install` on a virtual environment; `what` continues "Could not ..."."""
    env = dict(os.environ)
    if "PIP_INDEX_URL" in env:
        env.setdefault("UV_DEFAULT_INDEX", env["PIP_INDEX_URL"])
    python = venv / "bin" / "python"
    command(what, [venv / "bin" / "uv", "pip", "install", "--quiet", "--python", python, *arguments], env)


def _make_venv(venv: Path, lock: Path) -> None:
    """Make the virtual environment; another Python, another lock file or a moved checkout mean making it anew."""
    stamp = venv / "stamps" / "venv"
    # What running needs and the whole live in one environment, one after the other.
    locks = (RUN_LOCK, LOCK) if lock in (RUN_LOCK, LOCK) else (lock,)
    made = Stamp(stamp, [str(venv), *map(_pins, locks)])
    if made.valid() and _works(venv):
        return
    check_platform()
    say(f"Making the virtual environment {venv.name} with Python {sys.version.split()[0]} ...")
    clear = ["--clear"] if stamp.exists() or not _works(venv) else []
    # This interpreter may be that of an environment, even of the one that is made anew.
    base = getattr(sys, "_base_executable", sys.executable)
    command("make the virtual environment", [base, "-m", "venv", *clear, venv])
    made.set()


def _pins(lock: Path) -> str:
    """Return the names, versions and markers of a lock file; other comments in it are no reason to install anew."""
    return "\n".join(re.findall(r"^[A-Za-z0-9._-]+==.*?(?= *\\?$)", lock.read_text(), re.MULTILINE))


def _works(venv: Path) -> bool:
    """Return whether the environment's Python starts and has this interpreter's version."""
    code = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    try:
        return subprocess.run([venv / "bin" / "python", "-I", "-S", "-c", code], check=False).returncode == 0
    except OSError:
        return False


def _install_uv(venv: Path, lock: Path) -> None:
    """Install the locked uv with pip, which checks its hashes."""
    entry = re.search(r"^uv==(?:.*\\\n)+.*\n", lock.read_text(), re.MULTILINE)
    if entry is None:
        raise SetUpError(f"{lock} does not name uv: remake it with `make lock`.")
    with tempfile.TemporaryDirectory() as folder:
        requirement = Path(folder) / "uv.txt"
        requirement.write_text(entry[0])
        options = ["--quiet", "--disable-pip-version-check", "--retries", "1", "--require-hashes"]
        command("install uv", [venv / "bin" / "python", "-m", "pip", "install", *options, "-r", requirement])


def make_robot_environment() -> Path:
    """Return a virtual environment that sees the packages of a sourced ROS 2, with what it lacks installed.

    An active environment in which the library's dependencies can be imported serves as it is.

    Raises:
        SetUpError: ROS's Python was not found, or the packages could not be installed.
    """
    lock = ROBOT_TORCH_LOCK if has_gpu() else ROBOT_LOCK
    if _has_dependencies("python3", lock):
        return Path(_answer("python3", "import sys; print(sys.prefix)"))
    system = _answer("python3", "import rclpy, sys; print(sys._base_executable)")
    if not system:
        raise SetUpError("ROS 2 is sourced, but python3 cannot import rclpy: leave the active virtual environment.")
    stamp = Stamp(ROBOT / "stamps" / "packages", [str(ROBOT), system, _pins(lock)])
    if not stamp.valid():
        check_disk(needed=_NEEDED_BYTES.get(lock, NEEDED_BYTES))
        say(f"Making {ROBOT.name} beside the packages of ROS 2 and installing {lock.relative_to(ROOT)} ...")
        command("make the virtual environment", [system, "-m", "venv", "--system-site-packages", ROBOT])
        pip: list[str | Path] = [
            ROBOT / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        command("install the packages", [*pip, "--retries", "1", "--require-hashes", "-r", lock])
        stamp.set()
    return ROBOT


def _has_dependencies(python: str, lock: Path) -> bool:
    """Return whether an interpreter has both ROS and what the library imports."""
    modules = _RUN_MODULES + (_TORCH_MODULES if lock == ROBOT_TORCH_LOCK else ())
    code = f"import importlib.util as u; print(all(u.find_spec(m) for m in {modules}))"
    return _answer(python, code) == "True"


def _answer(python: str, code: str) -> str:
    """Return what a line of Python prints, or nothing when it fails."""
    result = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else ""
