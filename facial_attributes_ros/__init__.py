"""Age, gender and emotion of every face that a robot sees.

Load a model, estimate the faces of an image, follow a video:

>>> import facial_attributes_ros
>>> pipeline = facial_attributes_ros.load_pipeline("small")
>>> faces = pipeline.still(facial_attributes_ros.read_image("photo.png"))
>>> [face.emotion.label for face in faces]
['happy']
>>> for image, seconds in facial_attributes_ros.read_video("clip.avi"):
...     result = pipeline.process(image, seconds)
>>> [(face.gender.label, face.emotion.label) for face in result.faces]
[('female', 'happy')]

Importing the package imports none of its dependencies; they come with the first use of one of these functions.
"""

import importlib
import sys
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

from facial_attributes_ros.privacy import forbid_telemetry

# Before any module of the package imports a dependency.
forbid_telemetry()

# In a checkout the source folder hides the installed one, which alone holds the generated messages (`.msg`).
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"

if TYPE_CHECKING:
    from facial_attributes_ros.imaging.decoder import read_image
    from facial_attributes_ros.imaging.sources import read_video
    from facial_attributes_ros.pipeline import load_pipeline

__all__ = ["load_pipeline", "read_image", "read_video"]

_MODULES = {"load_pipeline": "pipeline", "read_image": "imaging.decoder", "read_video": "imaging.sources"}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


class _MessagesNotBuilt:
    """The last finder of modules: if no other finds the messages, its error explains how to build them."""

    def find_spec(self, name: str, *_: object) -> None:
        """Raise ModuleNotFoundError for the messages, and leave every other name alone."""
        if name in (f"{__name__}.msg", f"{__name__}.srv"):
            # Without `name`: `from facial_attributes_ros import msg` would replace the sentence by its own.
            raise ModuleNotFoundError(
                "The ROS messages of facial_attributes_ros are not built or not on the path: in a checkout run "
                "`make setup` and start this with `.venv/bin/python scripts/ros_env.py`, on a robot build the package "
                "with colcon and source its install/setup.bash."
            )


sys.meta_path.append(_MessagesNotBuilt())
