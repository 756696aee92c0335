"""Where people are: from pixels of a calibrated camera to directions, distances and head poses. Needs no ROS."""
