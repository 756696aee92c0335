"""Offline adaptation of the backbone: data, recipes, the training loop, evaluation and comparison."""

import facial_attributes_ros  # noqa: F401 - switches off telemetry before a dependency is imported
