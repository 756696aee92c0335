"""Run a command in the environment that ROS nodes need on a machine without a ROS install.

    .venv/bin/python scripts/ros_env.py python -m facial_attributes_ros.ros listener

`python` in the command is the environment's own. Nodes keep to this machine: see `ros_environment`.
"""

import os
import random
import socket
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
BUILD = ROOT / "build" / "wheels"
PREFIX = ROOT / "install" / "wheels"
PROFILE = ROOT / "config" / "fastdds_shm_local.xml"


def python_folder(prefix: Path) -> Path:
    """Return the folder under an install prefix that holds Python packages."""
    return prefix / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _joined(first: list[Path], rest: str | None) -> str:
    """Return a search path: our folders, then the ones that stood there, each once."""
    entries = [str(path) for path in first] + [entry for entry in (rest or "").split(os.pathsep) if entry]
    return os.pathsep.join(dict.fromkeys(entries))


def ros_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return environment variables under which this checkout's nodes and messages work.

    The search paths of ament, CMake, the linker and Python get the virtual environment's ROS wheels and the built
    messages; nodes discover each other on this machine only and send pictures through shared memory.
    `ROS_DOMAIN_ID` is left to the caller.

    Args:
        base: variables to start from; those of this process if not given.
    """
    env = dict(os.environ if base is None else base)
    wheels = python_folder(VENV)
    libraries = [PREFIX / "lib", VENV / "lib", *sorted(wheels.glob("ros_*.libs"))]
    env["AMENT_PREFIX_PATH"] = _joined([PREFIX, VENV], env.get("AMENT_PREFIX_PATH"))
    env["CMAKE_PREFIX_PATH"] = _joined([PREFIX, VENV], env.get("CMAKE_PREFIX_PATH"))
    env["LD_LIBRARY_PATH"] = _joined(libraries, env.get("LD_LIBRARY_PATH"))
    env["PYTHONPATH"] = _joined([ROOT, python_folder(PREFIX)], env.get("PYTHONPATH"))
    env["PATH"] = _joined([VENV / "bin"], env.get("PATH"))
    env["VIRTUAL_ENV"] = str(VENV)
    # The wheels' start-up file would otherwise run the interpreter a second time to set LD_LIBRARY_PATH.
    env["_ROS_WHEELS_BOOTSTRAP_COMPLETE"] = "1"
    env["RMW_IMPLEMENTATION"] = "rmw_fastrtps_cpp"
    env["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    env.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(PROFILE))
    env.setdefault("PYTHONUNBUFFERED", "1")
    return env


def free_domain() -> int:
    """Return a ROS domain in which no process of this machine takes part now.

    Raises:
        OSError: all of the first hundred are taken.
    """
    for domain in random.sample(range(1, 102), 101):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                # The port that the first participant of a domain listens on for discovery (DDS-RTPS 9.6.1).
                probe.bind(("", 7400 + 250 * domain + 10))
            except OSError:
                continue
            return domain
    raise OSError("every ROS domain from 1 to 101 is in use")


def include_folder() -> Path:
    """Return the folder of the running interpreter's C headers."""
    return Path(sysconfig.get_paths()["include"])


def main(argv: list[str]) -> int:
    """Replace this process by the command; return 2 when there is none to run and 127 when it is not found."""
    if not argv:
        sys.stderr.write("usage: ros_env.py COMMAND [ARGUMENT...]\n")
        return 2
    env = ros_environment()
    try:
        os.execvpe(argv[0], argv, env)
    except FileNotFoundError:
        sys.stderr.write(f"ros_env.py: there is no command {argv[0]!r}.\n")
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
