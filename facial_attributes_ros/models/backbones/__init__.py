"""Backbones: the networks that turn a batch of crops into features."""
