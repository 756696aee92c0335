"""Start the perception node and, if they are asked for, the camera node and the viewer.

ros2 launch facial_attributes_ros perception.launch.py image_topic:=/camera/color/image_raw
ros2 launch facial_attributes_ros perception.launch.py camera:=webcam view:=true

A launch file that includes this one keeps its own nodes' environment: the shared-memory profile is for ours only.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

from facial_attributes_ros.ros.launch_arguments import (
    PARAMETERS,
    SIZES,
    check_arguments,
    log_arguments,
    node_name,
    switch,
    typed_arguments,
)
from facial_attributes_ros.ros.params_file import check_params_file

PACKAGE = "facial_attributes_ros"
NODES = ("perception", "camera", "viewer")
PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""What the variable is called up to Jazzy, and from Kilted on."""
NEEDED_SHARED_MEMORY = 300 * 10**6
"""Bytes that /dev/shm must have free: every process takes the whole 64 MB segment of the profile at its start."""
RESPAWN_DELAY = 2.0
"""Seconds between the end of a node's process and its next start."""
SHARE = Path(get_package_share_directory(PACKAGE))

ARGUMENTS = {
    "namespace": ("", "Namespace of the nodes and their topics."),
    "use_sim_time": (
        "",
        "Whether the time comes from /clock, true or false; false if params_file does not set it either.",
    ),
    "params_file": (str(SHARE / "config" / "perception.yaml"), "Parameters of the perception node."),
    "log_level": ("info", "Log level of the nodes: debug (for their own lines), info, warn, error or fatal."),
    "autostart": (
        "",
        "Whether the perception node activates itself, true or false; true if params_file does not set it.",
    ),
    "respawn": ("", "Whether the perception node is started again if its process dies, true or false."),
    "model": ("", "Name or folder of the model; that of params_file if empty."),
    "device": ("", "Where the model runs: auto, cpu, cuda or cuda:N; that of params_file if empty."),
    "engine": ("", "What runs the model: auto, onnx, onnx-int8 or torch; that of params_file if empty."),
    "detector": ("", "Face detector: yunet, scrfd:FILE.onnx or scrfd:PACK; that of params_file if empty."),
    "rep155": (
        "",
        "What is published under /humans/faces: auto, always, merge, add or never; that of params_file if empty.",
    ),
    "image_topic": ("image", "Topic of the images; compressed images come from image_topic/compressed."),
    "image_transport": ("", "Which of the two topics is used: raw or compressed; that of params_file if empty."),
    "camera": (
        "",
        "Source of a camera node that is started too: webcam, sample, or the path of an image, a folder or a video.",
    ),
    "camera_width": ("640", "Width of that camera's frames in pixels, for a webcam and the sample."),
    "camera_height": ("480", "Height of that camera's frames in pixels, for a webcam and the sample."),
    "camera_rate": ("15.0", "Frame rate of that camera in Hz."),
    "view": ("false", "Whether a viewer is started, which serves a live page on this machine and prints its address."),
    "view_port": ("0", "Port of that page; 0 for a free one."),
    "camera_frame_id": ("camera", "Coordinate frame in the header of that camera's images."),
    "loop": ("", "Whether that camera starts a folder or a video again at its end, true or false."),
}


def make_nodes(context: LaunchContext) -> list[LogInfo | LifecycleNode | Node]:
    """Return the nodes that the launch arguments ask for.

    Raises:
        UserError: an argument is mistyped or invalid, or params_file holds nothing for the node.
    """
    given = context.launch_configurations
    check_arguments(given, ARGUMENTS, typed_arguments(sys.argv, Path(__file__).name))
    value = {name: given[name] for name in ARGUMENTS}
    params_file = Path(value["params_file"]).expanduser()
    names = {node: node_name(node, value["namespace"], given.get("ros_namespace", "")) for node in NODES}
    check_params_file(params_file, names["perception"])
    warnings, environment = shared_memory()

    def node(name: str, parameters: list[Any], kind: type[Node] = Node, **more: Any) -> Node:
        return kind(
            name=name,
            executable=name,
            parameters=parameters,
            package=PACKAGE,
            namespace=value["namespace"],
            remappings=[("image", value["image_topic"])],
            arguments=log_arguments(value["log_level"], names[name]),
            additional_env=environment,
            output="screen",
            **more,
        )

    # What is not given is left to params_file.
    clock = switch("use_sim_time", value["use_sim_time"])
    overrides = {name: ParameterValue(value[name], value_type=str) for name in PARAMETERS if value[name]}
    own = clock | switch("autostart", value["autostart"]) | overrides
    respawn = value["respawn"].lower() == "true"
    restart = {"kind": LifecycleNode, "respawn": respawn, "respawn_delay": RESPAWN_DELAY}
    nodes = [*warnings, node("perception", [str(params_file), own], **restart)]
    if value["camera"]:
        texts = {"source": value["camera"], "frame_id": value["camera_frame_id"]}
        source = {name: ParameterValue(text, value_type=str) for name, text in texts.items()}
        parameters = clock | source | numbers("camera", value) | switch("loop", value["loop"])
        nodes.append(node("camera", [parameters], on_exit=camera_ended))
    if value["view"].lower() == "true":
        nodes.append(node("viewer", [clock | numbers("view", value)]))
    return nodes


def numbers(prefix: str, value: Mapping[str, str]) -> dict[str, float]:
    """Return the parameters of the launch arguments that begin with a prefix and take a number."""
    return {one.name: one.parse(value[name]) for name, one in SIZES.items() if name.startswith(f"{prefix}_")}


def camera_ended(event: ProcessExited, context: LaunchContext) -> list[Shutdown]:
    """End the launch if the camera has failed: without images the other nodes would wait for ever."""
    if event.returncode == 0 or context.is_shutdown:
        return []
    return [Shutdown(reason=f"the camera failed with exit code {event.returncode}; its message is above")]


def shared_memory() -> tuple[list[LogInfo], dict[str, str]]:
    """Return the variables that give our nodes the profile; if there is no room for it, a message with the reason."""
    if any(name in os.environ for name in PROFILES):
        return [], {}
    free = shutil.disk_usage("/dev/shm").free if Path("/dev/shm").exists() else 0
    if free >= NEEDED_SHARED_MEMORY:
        return [], dict.fromkeys(PROFILES, str(SHARE / "config" / "fastdds_shm.xml"))
    text = (
        f"/dev/shm has only {free / 1e6:.0f} MB free, so images are sent in fragments and many are lost: "
        f"give it {NEEDED_SHARED_MEMORY / 1e6:.0f} MB or more (docker run --shm-size=512m)."
    )
    return [LogInfo(msg=text)], {}


def generate_launch_description() -> LaunchDescription:
    """Return the launch arguments and the nodes."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=make_nodes)])
