"""Benchmarks: stages, detection, adaptations, load, a live ROS graph, and training."""
