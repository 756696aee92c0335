"""Start a perception node for each of several cameras; docs/two-cameras.md says more.

ros2 launch facial_attributes_ros cameras.launch.py cameras:="front=/front/image_raw rear=/rear/image_raw"
ros2 launch facial_attributes_ros cameras.launch.py cameras:="left=webcam:0 right=webcam:1" device:=cpu

Each camera has a namespace of its name. Any other argument is that of perception.launch.py, for all of them.
"""

import sys
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.launch_arguments import CameraEntry, camera_entries, check_arguments, typed_arguments

ONE = Path(get_package_share_directory("facial_attributes_ros")) / "launch" / "perception.launch.py"
PER_CAMERA = ("image_topic", "camera", "camera_frame_id")
"""Arguments of perception.launch.py that the list of cameras gives."""


def make_groups(context: LaunchContext) -> list[GroupAction]:
    """Return perception.launch.py for each camera.

    Raises:
        UserError: the list of cameras is not valid, or an argument is given that the list gives.
    """
    typed = typed_arguments(sys.argv, Path(__file__).name)
    for name in PER_CAMERA:
        if name in typed:
            raise UserError(f"There is no launch argument {name} for several cameras: cameras gives it for each.")
    declared = PythonLaunchDescriptionSource(str(ONE)).get_launch_description(context).get_launch_arguments()
    check_arguments({}, ["cameras", *(argument.name for argument in declared)], typed)
    given = context.launch_configurations
    return [group(entry, given) for entry in camera_entries(given["cameras"])]


def group(entry: CameraEntry, given: dict[str, str]) -> GroupAction:
    """Return perception.launch.py for one camera."""
    parent = given.get("namespace", "").rstrip("/")
    arguments = {
        "namespace": f"{parent}/{entry.name}" if parent else entry.name,
        "rep155": given.get("rep155") or default_rep155(),
        "image_topic": entry.topic or "image",
        "camera": entry.source,
        "camera_frame_id": f"{entry.name}_camera",
    }
    include = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(ONE)), launch_arguments=arguments.items())
    return GroupAction([include], scoped=True)


def default_rep155() -> str:
    """Return merge where hri_msgs is installed: two nodes with lists of their own would contradict each other."""
    try:
        get_package_share_directory("hri_msgs")
    except PackageNotFoundError:
        return "auto"
    return "merge"


def generate_launch_description() -> LaunchDescription:
    """Return the launch argument and the nodes."""
    text = (
        "The cameras, as NAME=TOPIC or NAME=SOURCE separated by spaces; a source is webcam, webcam:N, sample or a path."
    )
    return LaunchDescription([DeclareLaunchArgument("cameras", description=text), OpaqueFunction(function=make_groups)])
