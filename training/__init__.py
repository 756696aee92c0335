"""Offline adaptation of the backbone: data, recipes, the training loop, evaluation and comparison."""
