"""The live page: the running graph as it is, for everybody who looks at it. Needs no ROS; `ros/viewer` feeds it."""
