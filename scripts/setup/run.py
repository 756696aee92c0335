"""Show who is in view: camera, perception node, a live page and a table, on a ROS graph of their own.

Sets up what is missing first. With a real ROS 2 sourced, colcon and `ros2 launch` do the same. Ctrl-C ends it.
"""

import quiet_start  # isort: split

import argparse
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from process_group import Group
from robot import build, launch_arguments, ros_is_sourced
from ros_env import PROFILE, free_domain, ros_environment
from run_log import RunLog
from set_up import set_up
from shared_memory import SHARED_MEMORY, remove_orphans
from steps import ROOT, SetUpError, os_errors, say

PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""What names the profile to Fast DDS, up to Jazzy and from Kilted on."""
NEEDED_SHARED_MEMORY = 300 * 10**6
"""Bytes that /dev/shm must have free: every process takes the whole 64 MB segment of the profile at its start."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the run's options."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument(
        "--source",
        help="webcam, sample, or the path of an image, a folder or a video; by default the webcam, else the sample",
    )
    parser.add_argument("--duration", type=float, help="seconds from the first published message to the end")
    parser.add_argument("--jsonl", type=Path, help="write one JSON object for every published message to this file")
    parser.add_argument("--width", type=int, default=640, help="of the frames of a webcam and the sample, in pixels")
    parser.add_argument("--height", type=int, default=480, help="of the frames of a webcam and the sample, in pixels")
    parser.add_argument("--rate", type=float, default=15.0, help="frame rate in Hz")
    parser.add_argument("--model", default="small", help="name or folder of the model")
    parser.add_argument("--no-view", dest="view", action="store_false", help="serve no live page")
    parser.add_argument("--view-port", type=int, default=0, help="port of the live page; a free one by default")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--talk", action="store_true", help="speak with who is there, in the terminal, as `make talk`")
    parser.add_argument("--language", default="en", help="of what is said: en, de, fr or es")
    return parser


def chosen_source(wanted: str | None) -> str:
    """Return the source of the frames: the wanted one, its path made absolute, or the webcam, or the sample.

    Raises:
        SetUpError: there is no such file.
    """
    if wanted is None:
        devices = sorted(Path("/dev").glob("video[0-9]*"))
        return "webcam" if any(os.access(device, os.R_OK | os.W_OK) for device in devices) else "sample"
    if wanted == "sample" or wanted.partition(":")[0] == "webcam":
        return wanted
    path = Path(wanted).expanduser().absolute()
    if not path.exists():
        raise SetUpError(f"There is no {path}: --source takes webcam, sample, or an image, a folder or a video.")
    return str(path)


def shared_memory_profile() -> str | None:
    """Return the path of the Fast DDS profile, or None, said in a sentence, where /dev/shm is too small for it."""
    remove_orphans()
    free = shutil.disk_usage(SHARED_MEMORY).free
    if free >= NEEDED_SHARED_MEMORY:
        return str(PROFILE)
    say(
        f"/dev/shm has only {free / 1e6:.0f} MB free, so images are sent in fragments and many are lost: "
        f"give it {NEEDED_SHARED_MEMORY / 1e6:.0f} MB or more (docker run --shm-size=512m)."
    )
    return None


def run(args: argparse.Namespace) -> None:
    """Start the nodes and return when the duration is over or the source has ended.

    Raises:
        SetUpError: the set-up failed or a node died.
    """
    source = chosen_source(args.source)
    real = ros_is_sourced()
    if real:
        env = build()
    else:
        set_up(to_run=True)
        env = ros_environment()
    profile = shared_memory_profile()
    env |= dict.fromkeys(PROFILE_VARIABLES, profile or "")
    env["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    env.setdefault("ROS_DOMAIN_ID", str(free_domain()))
    say(f"Source: {source}. ROS_DOMAIN_ID={env['ROS_DOMAIN_ID']}. The first face shows in a few seconds; Ctrl-C ends.")
    try:
        with RunLog(sys.stdout, table=not args.talk) as log, Group() as group:
            (_start_launched if real else _start_nodes)(group, log, source, args, env)
            group.wait()
    finally:
        remove_orphans()


def _start_nodes(group: Group, log: RunLog, source: str, args: argparse.Namespace, env: dict[str, str]) -> None:
    """Start the nodes as processes of our own."""
    camera = {"source": source, "width": args.width, "height": args.height, "rate": args.rate}
    perception = {"autostart": True, "model": args.model, "device": args.device}
    config = str(ROOT / "config" / "perception.yaml")
    python = str(ROOT / ".venv" / "bin" / "python")

    def node(name: str, *arguments: str) -> list[str]:
        return [python, "-m", "facial_attributes_ros.ros", name, *arguments]

    parameters = ["--ros-args", "--params-file", config, *_parameters(perception)]
    start = partial(group.start, env=env, cwd=ROOT, blocked=(signal.SIGINT, signal.SIGTERM), streams=log.of_node)
    if args.view:
        start("viewer", node("viewer", "--ros-args", *_parameters({"port": args.view_port})))
    start("perception node", node("perception", "--must-start", *parameters))
    start("camera", node("camera", "--ros-args", *_parameters(camera)), last=True, patience=1.0)
    _start_in_terminal(start, node, log, args)


def _start_launched(group: Group, log: RunLog, source: str, args: argparse.Namespace, env: dict[str, str]) -> None:
    """Start the nodes with the launch file."""
    view = {"view": str(args.view).lower(), "view_port": str(args.view_port)}
    options = {"model": args.model, "device": args.device} | view
    size = {"camera_width": str(args.width), "camera_height": str(args.height), "camera_rate": str(args.rate)}

    def node(name: str, *arguments: str) -> list[str]:
        return ["ros2", "run", "facial_attributes_ros", name, *arguments]

    start = partial(group.start, env=env, cwd=ROOT, streams=log.of_node)
    start("launch", launch_arguments(source, options | size))
    _start_in_terminal(start, node, log, args)


def _start_in_terminal(
    start: Callable[..., None], node: Callable[..., list[str]], log: RunLog, args: argparse.Namespace
) -> None:
    """Start what uses the terminal: the talk with its dialogue node, or the listener.

    Args:
        start: starts a process, as `Group.start` does.
        node: returns the command of a node from its name and its arguments.
        log: of the run.
        args: of the run.
    """
    duration = [] if args.duration is None else ["--duration", str(args.duration)]
    if args.talk:
        start("dialogue node", node("dialogue", "--ros-args", *_parameters({"language": args.language})))
        talk = node("talk", "--language", args.language, *duration)
        start("talk", talk, last=True, streams=log.of_listener)
    else:
        jsonl = [] if args.jsonl is None else ["--jsonl", str(args.jsonl.expanduser().absolute())]
        listener = node("listener", *duration, *jsonl, *log.options)
        start("listener", listener, last=True, streams=log.of_listener)


def _parameters(values: dict[str, object]) -> list[str]:
    """Return ROS arguments that set parameters; JSON is YAML, and its quotes keep a string a string."""
    return [part for name, value in values.items() for part in ("-p", f"{name}:={json.dumps(value)}")]


def main(argv: Sequence[str] | None = None) -> int:
    """Run until the end; return 0 after it and after Ctrl-C, 1 when a part failed."""
    args = build_parser().parse_args(argv)
    quiet_start.interrupt_on(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        with os_errors():
            run(args)
    except SetUpError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
