"""Runs the stub of the perception node; as light as the real entry point, so that Ctrl-C is heard as early."""

from facial_attributes_ros.ros.arguments import PARSERS
from facial_attributes_ros.ros.process import run_node

if __name__ == "__main__":
    run_node("stub_perception_node", parser=PARSERS["perception"]())
