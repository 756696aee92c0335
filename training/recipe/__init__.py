"""Recipes: the typed schema of a training run, and its YAML."""
