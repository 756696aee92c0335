"""The dialogue node."""
