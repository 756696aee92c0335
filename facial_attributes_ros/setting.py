"""One setting: its name, default, range, unit and description, written once, beside the field that holds its value.

An options class is a frozen dataclass whose fields are made by `setting`. From the metadata follow the check of a value
(`check`), and in `ros/` the declaration of a parameter, its line in the YAML and its row in the docs.
"""

import math
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from typing import Literal, TypeVar

from facial_attributes_ros.errors import UserError

Value = bool | int | float | str
When = Literal["start", "configure", "live"]
T = TypeVar("T", bound=Value)

_KEY = "setting"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        name: as users write it; a dot groups.
        default: its value unless a user sets another; its type is the type of the setting.
        description: what it is, and what a higher value does, without the unit.
        low: smallest value of a number.
        high: largest value of a number.
        unit: of a number, such as `s` or `pixels`; empty if it has none.
        choices: the strings it may be; any if empty.
        when: when a node applies a change: only at its start (read-only), at the next configure, or at once.
    """

    name: str
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    when: When = "live"

    @property
    def text(self) -> str:
        """The description with the unit."""
        return f"{self.description} Unit: {self.unit}." if self.unit else self.description

    @property
    def takes(self) -> str:
        """What values the setting takes, as the end of a sentence that begins with its name."""
        if isinstance(self.default, bool):
            return "takes true or false"
        if isinstance(self.default, str):
            return f"takes one of {', '.join(self.choices)}" if self.choices else "takes a text"
        if isinstance(self.default, int):
            return f"takes a whole number from {self.low:.0f} to {self.high:.0f}"
        return f"takes a number from {self.low:g} to {self.high:g}"

    def allows(self, value: object) -> bool:
        """Return True if a value has the setting's type and is in its range."""
        if isinstance(self.default, bool):
            return isinstance(value, bool)
        if isinstance(self.default, str):
            return isinstance(value, str) and (not self.choices or value in self.choices)
        if isinstance(value, bool) or not isinstance(value, Integral if isinstance(self.default, int) else Real):
            return False
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return bool(low <= float(value) <= high)  # NaN compares as false

    def parse(self, text: str) -> float:
        """Return the number that a text writes, an int where the default is one.

        Raises:
            UserError: it writes no number, or one out of range.
        """
        try:
            value = int(text) if isinstance(self.default, int) else float(text)
        except ValueError:
            value = math.nan
        if not self.allows(value):
            raise UserError(f"{self.name} {self.takes}, not '{text}'.")
        return value


def setting(
    default: T,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    when: When = "live",
    name: str = "",
) -> T:
    """Return a dataclass field that is a setting.

    Args:
        default: as in `Setting`, like all others.
        description: likewise.
        low: likewise.
        high: likewise.
        unit: likewise.
        choices: likewise.
        when: likewise.
        name: as users write it; the field's name in the group of its class if empty.
    """
    made = Setting(name, default, description, low, high, unit, choices, when)
    result: T = field(default=default, metadata={_KEY: made})
    return result


def settings_of(options: type) -> dict[str, Setting]:
    """Return the settings of an options class by the names of their fields, in order.

    Args:
        options: a dataclass; its class variable `group`, if it has one, is the first part of its settings' names.

    >>> from facial_attributes_ros.options import TrackingOptions
    >>> gate = settings_of(TrackingOptions)["gate"]
    >>> gate.name, gate.default, gate.low, gate.high, gate.unit
    ('tracking.gate', 4.5, 0.5, 100, 'standard deviations')
    """
    group = f"{options.group}." if hasattr(options, "group") else ""
    made = {item.name: item.metadata[_KEY] for item in fields(options) if _KEY in item.metadata}
    return {name: replace(one, name=one.name or f"{group}{name}") for name, one in made.items()}


def check(options: object) -> None:
    """Check the values of an options object; its `__post_init__` calls this.

    Raises:
        UserError: a value has another type than its setting, or is out of range.
    """
    for name, one in settings_of(type(options)).items():
        value = getattr(options, name)
        if not one.allows(value):
            raise UserError(f"{one.name} {one.takes}, not {value!r}.")
