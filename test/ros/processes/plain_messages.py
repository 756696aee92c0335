"""Messages to plain data and back; rosidl_runtime_py is not among the wheels."""

import array
import hashlib

import numpy as np

LONG = 64


def plain(value):
    """A message as dictionaries and lists; long data as its length and hash."""
    if hasattr(value, "get_fields_and_field_types"):
        return {name: plain(getattr(value, name)) for name in value.get_fields_and_field_types()}
    if isinstance(value, bytes):
        return value[0] if len(value) == 1 else list(value)
    if isinstance(value, array.array | np.ndarray):
        if len(value) > LONG:
            data = value.tobytes()
            return {"length": len(data), "hash": hashlib.sha256(data).hexdigest()}
        # NaN is not JSON everywhere, but it is Python's.
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def fill(message, fields):
    """Set the fields that are given, at any depth."""
    for name, value in fields.items():
        if isinstance(value, dict):
            fill(getattr(message, name), value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            setattr(message, name, [fill(_element(message, name), item) for item in value])
        else:
            setattr(message, name, value)
    return message


def _element(message, name):
    import importlib

    kind = message.get_fields_and_field_types()[name].removeprefix("sequence<").removesuffix(">")
    package, _, short = kind.partition("/")
    return getattr(importlib.import_module(f"{package}.msg"), short)()
