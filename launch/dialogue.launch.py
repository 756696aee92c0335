"""Start the dialogue node, beside a perception node that runs already.

ros2 launch facial_attributes_ros dialogue.launch.py
ros2 launch facial_attributes_ros dialogue.launch.py policy:=my-policy.yaml language:=de
"""

import sys
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from facial_attributes_ros.ros.launch_arguments import (
    check_arguments,
    log_arguments,
    node_name,
    switch,
    typed_arguments,
)

ARGUMENTS = {
    "namespace": ("", "Namespace of the node and its topics; that of the perception node."),
    "policy": ("", "Policy file; the one that the package ships if empty."),
    "language": ("en", "Language of dialogue/context and dialogue/notice."),
    "templates": ("", "Folder with templates of one's own; those of the package if empty."),
    "emotion": ("true", "Whether rules about emotions count, true or false."),
    "use_sim_time": ("false", "Whether the time comes from /clock, true or false."),
    "log_level": ("info", "Log level: debug (for the node's own lines), info, warn, error or fatal."),
}


def make_nodes(context: LaunchContext) -> list[Node]:
    """Return the node with the parameters that the launch arguments give.

    Raises:
        UserError: an argument is mistyped.
    """
    given = context.launch_configurations
    check_arguments(given, ARGUMENTS, typed_arguments(sys.argv, Path(__file__).name))
    value = {name: given[name] for name in ARGUMENTS}
    texts = {name: ParameterValue(value[name], value_type=str) for name in ("policy", "language", "templates")}
    switches = switch("emotion", value["emotion"]) | switch("use_sim_time", value["use_sim_time"])
    name = node_name("dialogue", value["namespace"], given.get("ros_namespace", ""))
    return [
        Node(
            package="facial_attributes_ros",
            executable="dialogue",
            name="dialogue",
            namespace=value["namespace"],
            parameters=[texts | switches],
            arguments=log_arguments(value["log_level"], name),
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Return the launch arguments and the node."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=make_nodes)])
