"""Messages of packages that need not be installed."""

import importlib
from typing import Any

from facial_attributes_ros.errors import UserError


def optional_messages(package: str, parameter: str, value: str) -> Any | None:
    """Return the module with a package's messages, or None if it is not wanted, or not installed and not required.

    Args:
        package: such as `hri_msgs`.
        parameter: name of the parameter that decides.
        value: its value: `never` does without the package, `auto` uses it if it is installed, any other requires it.

    Raises:
        UserError: the package is required, but not installed.
    """
    if value == "never":
        return None
    try:
        return importlib.import_module(f"{package}.msg")
    except ImportError as error:
        if value == "auto":
            return None
        text = (
            f"The parameter {parameter} is {value}, but {package} is not installed: install it, or set {parameter} to "
            "auto."
        )
        raise UserError(text) from error
