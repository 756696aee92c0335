"""The live page: the running graph as it is, for all its viewers. Needs no ROS; `ros/viewer` feeds it."""
