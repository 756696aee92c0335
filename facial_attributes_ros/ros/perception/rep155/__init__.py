"""The topics of REP-155 (ROS4HRI): our faces there, the list of all faces, and the faces of other detectors."""
