"""Backbones: what turns a batch of crops into features."""
