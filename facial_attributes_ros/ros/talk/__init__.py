"""The talk node."""
