"""Inference engines, export and benchmarks."""
