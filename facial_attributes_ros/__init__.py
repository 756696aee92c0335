"""Age, gender and emotion of every face a robot sees."""

import sys
from pkgutil import extend_path

from facial_attributes_ros.privacy import forbid_telemetry

# Before any module of the package imports a dependency.
forbid_telemetry()

# In a checkout the source folder hides the installed one, which alone holds the generated messages (`.msg`).
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"


class _MessagesNotBuilt:
    """Asked last, when nothing else has found the messages: says how to get them."""

    def find_spec(self, name: str, *_: object) -> None:
        """Raise ModuleNotFoundError for the messages, and leave every other name alone."""
        if name == f"{__name__}.msg":
            # Without `name`: `from facial_attributes_ros import msg` would replace the sentence by its own.
            raise ModuleNotFoundError(
                "The ROS messages of facial_attributes_ros are not built or not on the path: in a checkout run "
                "`make setup` and start this with `.venv/bin/python scripts/ros_env.py`, on a robot build the package "
                "with colcon and source its install/setup.bash."
            )


sys.meta_path.append(_MessagesNotBuilt())
