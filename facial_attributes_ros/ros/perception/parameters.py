"""The table of settings as ROS parameters: declared, read and checked, changed while the node runs."""

from collections.abc import Sequence
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.parameters import ParameterNames, declare
from facial_attributes_ros.ros.perception import depth_images, info, poses
from facial_attributes_ros.ros.perception.settings import SETTINGS, Settings, settings_from
from facial_attributes_ros.ros.perception.views import ANNOTATIONS, DETECTIONS
from facial_attributes_ros.ros.topics import camera_info_topic, compressed_twin, qos_parameters

_NAMES = frozenset(setting.name for setting in SETTINGS)
_DEFAULTS: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}
_CONFIGURE = frozenset(setting.name for setting in SETTINGS if setting.when == "configure")


class ParameterTable:
    """Declares the parameters on a node, and reads and checks their values.

    An invalid value at the start does not end the node: `read` raises an error until a valid one is set.

    Args:
        node: the node that has the parameters.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._problems: dict[str, str] = {}
        for setting in SETTINGS:
            try:
                declare(node, setting)
            except UserError as error:
                self._problems[setting.name] = str(error)
        self._names = ParameterNames(node, later=_qos_parameters(node))

    def read(self) -> Settings:
        """Return the values of all parameters.

        Raises:
            UserError: a parameter was given an invalid value, or a parameter was given that does not exist.
        """
        self._names.check_overrides()
        for problem in self._problems.values():
            raise UserError(problem)
        return settings_from({name: self._node.get_parameter(name).value for name in _NAMES})

    def check(self, changes: Sequence[Parameter], configured: bool, model: str = "") -> SetParametersResult:
        """Return whether parameters may be changed.

        Args:
            changes: name and value of each.
            configured: whether the node has been configured; then what configure reads cannot change.
            model: a model that has been loaded all the same, and may become the parameter's value.
        """
        ours = {change.name: change.value for change in changes if change.name in _NAMES}
        # A file that is loaded may repeat present values.
        fixed = sorted(name for name in set(ours) & _CONFIGURE if ours[name] != self._node.get_parameter(name).value)
        if configured and fixed and ours != {"model": model}:
            reason = f"{', '.join(fixed)} is read in configure: clean the node up first, then set it and configure."
            if fixed == ["model"]:
                reason += " The service ~/set_model changes it while the node runs."
            return SetParametersResult(successful=False, reason=reason)
        try:
            # Against the defaults: an invalid value of another parameter must not prevent a valid one from being set.
            settings_from(_DEFAULTS | ours)
        except UserError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def settled(self, changes: Sequence[Parameter]) -> None:
        """Record that parameters have been set to valid values."""
        for change in changes:
            self._problems.pop(change.name, None)


def _qos_parameters(node: Node) -> list[str]:
    """Return the names of the parameters that the publishers and the subscriptions will declare."""
    images, annotated = ("image", compressed_twin(node, "image")), ("faces/image", compressed_twin(node, "faces/image"))
    calibration = camera_info_topic(node, node.resolve_topic_name("image"))
    subscribed = (*images, calibration, depth_images.TOPIC)
    of_poses, of_views = (poses.POSE, poses.POSE_ARRAY, poses.TF), (DETECTIONS, ANNOTATIONS)
    published = ("faces", info.TOPIC, *annotated, *of_poses, *of_views)
    return qos_parameters(node, "subscription", subscribed) + qos_parameters(node, "publisher", published)
