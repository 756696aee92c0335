"""Checks of the fields of `model.json`, shared by everything that stands in it."""

import reprlib
from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from typing import Any, TypeGuard


def is_number(value: object, low: float, high: float) -> TypeGuard[float]:
    """Return True if a value is a number within bounds, both included; a truth value is none."""
    # Compared without conversion: JSON may hold whole numbers that no float can hold, and NaN compares as false.
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def is_count(value: object) -> TypeGuard[int]:
    """Return True if a value is a whole number from 0 on; a truth value is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def check_numbers(name: str, values: tuple[float, ...], count: int, low: float, high: float) -> None:
    """Check that a tuple holds so many numbers within bounds, both included.

    Raises:
        ValueError: it does not.
    """
    if not (len(values) == count and all(is_number(value, low, high) for value in values)):
        raise ValueError(f"{name} must be {count} number(s) from {low} to {high}, not {reprlib.repr(list(values))}")


def check_date(value: object) -> None:
    """Check that a text is a day.

    Raises:
        ValueError: it is not.
    """
    try:
        date.fromisoformat(value)  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise ValueError(f"date must be a day such as 2026-11-21, or null, not {value!r}") from error


def check_known(values: Mapping[str, Any], cls: type, what: str) -> None:
    """Check that an object of a description has no unknown fields.

    Raises:
        ValueError: it has; the message lists those that are known.
    """
    known = {item.name for item in fields(cls)}
    if unknown := sorted(values.keys() - known):
        raise ValueError(f"unknown {what} {', '.join(unknown)}; known are {', '.join(sorted(known))}")


def as_tuple(name: str, value: object) -> tuple[Any, ...]:
    """Return a list of a description as a tuple.

    Raises:
        ValueError: it is no list.
    """
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} must be a list, not {value!r}")
    return tuple(value)


def check_texts(name: str, values: tuple[Any, ...]) -> None:
    """Check that a tuple holds texts.

    Raises:
        ValueError: it is no tuple, or something in it is no text.
    """
    if not (isinstance(values, tuple) and all(isinstance(value, str) for value in values)):
        raise ValueError(f"{name} must be a list of texts, not {values!r}")


def check_sha256(name: str, value: str | None) -> None:
    """Check that a hash is one.

    Raises:
        ValueError: it is not.
    """
    digits = isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")
    if not (value is None or digits):
        raise ValueError(f"{name} must be 64 hexadecimal digits or null, not {value!r}")
