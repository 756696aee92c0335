"""Text for output: printable names, JSON lines, and estimates with their errors."""

import json
import math
import unicodedata
from typing import Any

_ESCAPED = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories of control characters, of bytes that are not UTF-8, and of line ends."""
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that make a terminal show the following text in another order."""


def printable(text: str) -> str:
    """Return a text on one line, with control characters and bytes that are not UTF-8 escaped.

    Names in a file system may have any bytes; Python represents those that are not UTF-8 as lone surrogates.
    """
    return "".join(
        _escaped(char) if unicodedata.category(char) in _ESCAPED or char in _TURNING else char for char in text
    )


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")


def json_line(document: Any, encoding: str = "utf-8") -> str:
    """Return a document as a line of JSON with a line end.

    Characters that the encoding does not have, and bytes of names that are not UTF-8, become JSON's own escapes, which
    Python's `json` reads as the same name.

    Raises:
        ValueError: the document holds NaN or infinity.
    """
    line = json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(document, allow_nan=False) + "\n"
    return line


def plus_minus(value: float, deviation: float, unit: str = "", digits: int = 0) -> str:
    """Return an estimate with its standard deviation; `unknown` where the estimate is NaN.

    >>> plus_minus(31.4, 5.6, "years")
    '31 ± 6 years'
    """
    if math.isnan(value):
        return "unknown"
    spread = "" if math.isnan(deviation) else f" ± {deviation:.{digits}f}"
    return f"{value:.{digits}f}{spread}{unit and f' {unit}'}"


def age_text(age: float, deviation: float) -> str:
    """Return an age in completed years with its standard deviation, as `31 ± 6 years`; `unknown` where it is NaN.

    It is rounded down, so that an age of 29.8 does not read as 30 beside the age group 20-29.
    """
    return plus_minus(age if math.isnan(age) else math.floor(age), deviation, "years")


def with_interval(
    value: float, low: float, high: float, digits: int = 1, *, percent: bool = False, unit: str = "", sign: bool = False
) -> str:
    """Return an estimate with its confidence interval.

    Args:
        value: the estimate.
        low: lower end of the interval.
        high: upper end of the interval.
        digits: after the point.
        percent: all three are fractions, written as percentages.
        unit: written after the estimate; a table has it in its head instead.
        sign: write a plus before positive numbers, as for differences.

    >>> with_interval(0.539, 0.516, 0.556, percent=True, unit="%")
    '53.9 % [51.6, 55.6]'
    """
    form = f"{'+' if sign else ''}.{digits}f"
    number, *ends = (format(100 * one if percent else one, form) for one in (value, low, high))
    return f"{number}{unit and f' {unit}'} [{', '.join(ends)}]"
