"""The messages of ROS4HRI, where they are installed."""

import importlib
from typing import Any

from facial_attributes_ros.errors import UserError


def load_hri_messages(rep155: str) -> Any | None:
    """Return the module `hri_msgs.msg`, or None if it is not wanted, or not installed and not required.

    Args:
        rep155: `never` does without it, `auto` uses it if it is installed, and any other value requires it.

    Raises:
        UserError: it is required, but hri_msgs is not installed.
    """
    if rep155 == "never":
        return None
    try:
        return importlib.import_module("hri_msgs.msg")
    except ImportError as error:
        if rep155 != "auto":
            text = (
                f"The parameter rep155 is {rep155}, but hri_msgs is not installed: install it, or set rep155 to auto."
            )
            raise UserError(text) from error
        return None
