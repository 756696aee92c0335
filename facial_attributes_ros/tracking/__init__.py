"""One track per person, from the detections of successive frames."""
