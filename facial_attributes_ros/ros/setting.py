"""One parameter of a node: its name, what it takes and what it means. Needs no ROS."""

import math
from dataclasses import dataclass
from typing import Literal

from facial_attributes_ros.errors import UserError

Value = bool | int | float | str
When = Literal["start", "configure", "live"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One parameter.

    Attributes:
        name: as users write it; a dot groups.
        default: its value where nobody sets one; its type is the parameter's.
        text: what it does, in one sentence.
        low: smallest value of a number.
        high: largest value of a number.
        choices: the strings it may be; any if empty.
        when: a change counts from the start of the node only (read-only), from the next configure, or at once.
    """

    name: str
    default: Value
    text: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    when: When = "live"

    @property
    def takes(self) -> str:
        """What values the parameter takes, as the end of a sentence that begins with its name."""
        if isinstance(self.default, bool):
            return "takes true or false"
        if isinstance(self.default, str):
            return f"takes one of {', '.join(self.choices)}" if self.choices else "takes a text"
        if isinstance(self.default, int):
            return f"takes a whole number from {self.low:.0f} to {self.high:.0f}"
        return f"takes a number with a point, as {self.default}, from {self.low:g} to {self.high:g}"

    def number(self, text: str) -> float:
        """Return the number that a text writes, an int where the default is one.

        Raises:
            UserError: it writes none, or one out of range.
        """
        try:
            value = int(text) if isinstance(self.default, int) else float(text)
        except ValueError:
            value = math.nan
        # What is no number compares as false.
        if self.low is None or self.high is None or not self.low <= value <= self.high:
            raise UserError(f"{self.name} {self.takes}, not '{text}'.")
        return value
