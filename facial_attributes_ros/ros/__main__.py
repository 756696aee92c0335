"""Runs a node: `python -m facial_attributes_ros.ros NODE [option ...] [--ros-args ...]`.

Importing this costs little, so that `--help` answers at once and Ctrl-C is heard from the first moment.
"""

import sys
from collections.abc import Sequence
from typing import NoReturn

from facial_attributes_ros.ros.arguments import PARSERS
from facial_attributes_ros.ros.process import run_node

_USAGE = f"""\
usage: python -m facial_attributes_ros.ros {{{",".join(PARSERS)}}} [option ...] [--ros-args ...]
       python -m facial_attributes_ros.ros parameters {{--yaml,--page}}
--help after the name of a node prints its options and parameters. `parameters` prints what config/perception.yaml and
docs/parameters.md hold.
"""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a node until Ctrl-C or its own end, and end the process with its exit code.

    Args:
        argv: name of the node, its options and ROS arguments; those of this process by default.
    """
    name, *arguments = (sys.argv[1:] if argv is None else argv) or [""]
    if name in PARSERS:
        run_node(f"facial_attributes_ros.ros.{name}.node", arguments)
    if name == "parameters" and arguments in (["--yaml"], ["--page"]):
        sys.stdout.write(_parameters(arguments[0]))
        sys.exit(0)
    if name in ("-h", "--help"):
        sys.stdout.write(_USAGE)
        sys.exit(0)
    sys.stderr.write(_USAGE + (f"There is no node {name}.\n" if name not in ("", "parameters") else ""))
    sys.exit(2)


def _parameters(form: str) -> str:
    from facial_attributes_ros.ros.camera.settings import CAMERA_SETTINGS
    from facial_attributes_ros.ros.dialogue.settings import DIALOGUE_SETTINGS
    from facial_attributes_ros.ros.parameter_pages import parameter_page, perception_yaml
    from facial_attributes_ros.ros.perception.settings import SETTINGS
    from facial_attributes_ros.ros.viewer.settings import VIEWER_SETTINGS

    if form == "--yaml":
        return perception_yaml(SETTINGS)
    return parameter_page(SETTINGS, CAMERA_SETTINGS, DIALOGUE_SETTINGS, VIEWER_SETTINGS)


if __name__ == "__main__":
    main()
