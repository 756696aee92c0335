"""The listener node."""
