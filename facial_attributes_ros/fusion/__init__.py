"""Fusion of successive predictions of a tracked face into one belief."""
