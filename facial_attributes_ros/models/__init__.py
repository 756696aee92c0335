"""Backbones, adaptations, heads, the multi-task model and its files."""
