"""Start the perception node and, if one is asked for, the camera node.

ros2 launch facial_attributes_ros perception.launch.py image_topic:=/camera/color/image_raw
ros2 launch facial_attributes_ros perception.launch.py camera:=webcam
"""

import os
import shutil
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

PACKAGE = "facial_attributes_ros"
PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE"
NEEDED_SHARED_MEMORY = 300 * 10**6
"""Bytes that /dev/shm must have free: every process takes the whole 64 MB segment of the profile at its start."""
SHARE = Path(get_package_share_directory(PACKAGE))

ARGUMENTS = {
    "namespace": ("", "Namespace of the nodes and their topics."),
    "use_sim_time": ("", "Take the time from /clock, true or false; false if neither this nor params_file says."),
    "params_file": (str(SHARE / "config" / "perception.yaml"), "Parameters of the perception node."),
    "log_level": ("info", "How much the nodes say."),
    "autostart": ("", "Let the perception node configure and activate itself; true if params_file does not say."),
    "model": ("", "Name or folder of the model; the one of params_file if empty."),
    "device": ("", "auto, cpu or cuda; the one of params_file if empty."),
    "image_topic": ("image", "Topic of the pictures; its compressed twin is image_topic/compressed."),
    "camera": ("", "Start a camera too: webcam, sample, or the path of a picture, folder or video."),
    "camera_width": ("640", "Width of that camera's frames in pixels, for a webcam and the sample."),
    "camera_height": ("480", "Height of that camera's frames in pixels, for a webcam and the sample."),
    "camera_rate": ("15.0", "Frames a second of that camera."),
}

YES_OR_NO = ["", "true", "false", "True", "False"]
CHOICES = {"use_sim_time": YES_OR_NO, "autostart": YES_OR_NO, "log_level": ["debug", "info", "warn", "error", "fatal"]}


def make_nodes(context: LaunchContext) -> list[LifecycleNode | Node]:
    """Return the nodes that the launch arguments ask for."""
    value = {name: context.launch_configurations[name] for name in ARGUMENTS}
    shared = {
        "package": PACKAGE,
        "namespace": value["namespace"],
        "remappings": [
            ("image", value["image_topic"]),
            ("image/compressed", f"{value['image_topic']}/compressed"),
        ],
        "arguments": ["--ros-args", "--log-level", value["log_level"]],
        "output": "screen",
    }
    # What is not given is left to params_file.
    clock = switch("use_sim_time", value["use_sim_time"])
    overrides = {name: ParameterValue(value[name], value_type=str) for name in ("model", "device") if value[name]}
    perception = LifecycleNode(
        name="perception",
        executable="perception",
        parameters=[value["params_file"], clock | switch("autostart", value["autostart"]) | overrides],
        **shared,
    )
    if not value["camera"]:
        return [perception]
    camera = {
        "source": ParameterValue(value["camera"], value_type=str),
        "width": int(value["camera_width"]),
        "height": int(value["camera_height"]),
        "rate": float(value["camera_rate"]),
    }
    return [perception, Node(name="camera", executable="camera", parameters=[clock | camera], **shared)]


def switch(name: str, given: str) -> dict[str, bool]:
    """Return the parameter of a launch argument that is true or false, nothing if it was not given."""
    return {name: given.lower() == "true"} if given else {}


def shared_memory() -> LogInfo | SetEnvironmentVariable:
    """Return what gives every process the profile, unless the user names one, or says why it is left out."""
    free = shutil.disk_usage("/dev/shm").free
    if PROFILE in os.environ or free >= NEEDED_SHARED_MEMORY:
        return SetEnvironmentVariable(PROFILE, os.environ.get(PROFILE, str(SHARE / "config" / "fastdds_shm.xml")))
    return LogInfo(
        msg=f"/dev/shm has only {free / 1e6:.0f} MB free, so pictures travel in fragments and many get lost: "
        f"give it {NEEDED_SHARED_MEMORY / 1e6:.0f} MB or more (docker run --shm-size=512m)."
    )


def generate_launch_description() -> LaunchDescription:
    """Return the launch arguments, the shared-memory profile and the nodes."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text, choices=CHOICES.get(name))
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, shared_memory(), OpaqueFunction(function=make_nodes)])
