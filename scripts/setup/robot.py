"""The same run where a real ROS 2 is sourced: colcon builds the package and `ros2 launch` starts the nodes."""

import os
import shutil
import subprocess
from pathlib import Path

from environment import make_robot_environment
from messages import PLAIN
from steps import ROOT, SetUpError, command, say

SETUP = ROOT / "install" / "setup.bash"


def ros_is_sourced() -> bool:
    """Return whether this shell has a real ROS 2."""
    return bool(os.environ.get("ROS_DISTRO")) and shutil.which("ros2") is not None


def build() -> dict[str, str]:
    """Build the package with colcon and return the environment that its nodes run in.

    Raises:
        SetUpError: colcon is missing or failed, or the Python packages could not be had.
    """
    if shutil.which("colcon") is None:
        raise SetUpError("colcon was not found: install it (apt-get install python3-colcon-common-extensions).")
    if not PLAIN.fullmatch(str(ROOT)):
        raise SetUpError(
            f"colcon can't build in {ROOT}: move the workspace to a path of English letters, digits, '.', '_' and '-'."
        )
    venv = make_robot_environment()
    env = dict(os.environ)
    env["PATH"] = f"{venv / 'bin'}:{env['PATH']}"
    env["VIRTUAL_ENV"] = str(venv)
    say(f"Building the package with colcon for ROS 2 {env['ROS_DISTRO'].capitalize()} ...")
    cmake = ["-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={venv / 'bin' / 'python3'}"]
    arguments = ["colcon", "build", "--packages-select", "facial_attributes_ros", "--cmake-args", *cmake]
    command("build the package", arguments, env)
    return _sourced(env)


def _sourced(env: dict[str, str]) -> dict[str, str]:
    """Return the environment after `source install/setup.bash`."""
    result = subprocess.run(
        ["bash", "-c", 'source "$1" >/dev/null && env -0', "bash", SETUP], env=env, capture_output=True, check=False
    )
    if result.returncode:
        raise SetUpError(f"{SETUP} could not be sourced: remove build/ and install/ and try again.")
    pairs = (entry.partition("=") for entry in result.stdout.decode().split("\0") if entry)
    return {name: value for name, _, value in pairs}


def launch_arguments(source: str, options: dict[str, str]) -> list[str | Path]:
    """Return the command that starts camera and perception; `options` are further launch arguments."""
    wanted = {"camera": source, **options}
    return [
        "ros2",
        "launch",
        "facial_attributes_ros",
        "perception.launch.py",
        *(f"{name}:={value}" for name, value in wanted.items()),
    ]
