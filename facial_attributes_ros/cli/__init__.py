"""The `facial-attributes` command."""
