"""Age, gender and emotion of every face a robot sees."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pkgutil import extend_path
from types import ModuleType

# In a checkout the source folder hides the installed one, which alone holds the generated messages (`.msg`).
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"


class _MessagesNotBuilt(MetaPathFinder):
    """Asked last, when nothing else has found the messages: says how to get them."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """Raise ModuleNotFoundError for the messages, and leave every other name alone."""
        if name == f"{__name__}.msg":
            raise ModuleNotFoundError(
                "The ROS messages of facial_attributes_ros are not built or not on the path: in a checkout run "
                "`make setup` and start this with `.venv/bin/python scripts/ros_env.py`, on a robot build the package "
                "with colcon and source its install/setup.bash.",
                name=name,
            )


sys.meta_path.append(_MessagesNotBuilt())
