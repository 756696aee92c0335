"""Run a command in the environment that ROS nodes need: the short name of `setup/ros_env.py`.

.venv/bin/python scripts/ros_env.py python -m facial_attributes_ros.ros listener
"""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).parent / "setup" / "ros_env.py"), run_name="__main__")
