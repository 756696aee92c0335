"""YAML whose every value knows its file, line and key, so that a mistake in it can be named."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.text import printable


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of a YAML file.

    Attributes:
        file: that it is in.
        key: as `rules[1].when.probability`; empty for the whole file.
        node: its node.
    """

    file: Path
    key: str
    node: yaml.Node

    def error(self, sentence: str) -> UserError:
        """Return an error about this value; the sentence continues after the key."""
        line = self.node.start_mark.line + 1
        return UserError(f"{printable(str(self.file))}, line {line}: {self.key or 'the file'} {sentence}")

    def items(self, known: Collection[str] | None = None) -> dict[str, "Entry"]:
        """Return the values of a mapping by their keys.

        Args:
            known: the keys that it may have; None for any.

        Raises:
            UserError: it is no mapping, has a key twice, or one that is not known.
        """
        if not isinstance(self.node, yaml.MappingNode):
            expected = f"one with the keys {', '.join(known)}" if known else "one of names to values"
            raise self.error(f"takes a mapping, {expected}, not {self._shown()}.")
        found: dict[str, Entry] = {}
        for key_node, node in self.node.value:
            name = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            entry = Entry(self.file, f"{self.key}.{name}" if self.key else name, node)
            if name in found:
                raise Entry(self.file, entry.key, key_node).error("stands there twice: remove one of the two.")
            if known is not None and name not in known:
                raise Entry(self.file, entry.key, key_node).error(_no_such_key(name, known))
            found[name] = entry
        return found

    def elements(self) -> Iterator["Entry"]:
        """Yield the elements of a list; a single value is a list of one.

        Raises:
            UserError: the list is empty.
        """
        if not isinstance(self.node, yaml.SequenceNode):
            yield self
            return
        if not self.node.value:
            raise self.error("is an empty list: write at least one value, or remove the key.")
        for number, node in enumerate(self.node.value):
            yield Entry(self.file, f"{self.key}[{number}]", node)

    def number(self, low: float, high: float, why: str = "") -> float:
        """Return a number in a range.

        Raises:
            UserError: it is none, or out of the range; `why` ends the sentence.
        """
        value = self._value()
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.error(f"takes a number from {low:g} to {high:g}{why}, not {self._shown()}.")
        return float(value)

    def integer(self, low: int, high: int) -> int:
        """Return a whole number in a range.

        Raises:
            UserError: it is none, or out of the range.
        """
        value = self._value()
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(f"takes a whole number from {low} to {high}, not {self._shown()}.")
        return value

    def flag(self) -> bool:
        """Return true or false.

        Raises:
            UserError: it is neither.
        """
        value = self._value()
        if not isinstance(value, bool):
            raise self.error(f"takes true or false, not {self._shown()}.")
        return value

    def text(self) -> str:
        """Return a text that is not empty.

        Raises:
            UserError: it is none.
        """
        value = self._value()
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"takes a text, not {self._shown()}.")
        return value.strip()

    def choice(self, choices: Collection[str]) -> str:
        """Return one of some texts.

        Raises:
            UserError: it is another one.
        """
        value = self._value()
        if not isinstance(value, str) or value not in choices:
            raise self.error(f"takes one of {', '.join(choices)}, not {self._shown()}.")
        return value

    def _value(self) -> Any:
        """Return what `yaml.safe_load` makes of a scalar; a list or a mapping as itself."""
        if not isinstance(self.node, yaml.ScalarNode):
            return self.node
        try:
            return yaml.SafeLoader("").construct_object(self.node)
        except (yaml.YAMLError, ValueError) as error:
            raise self.error(f"cannot be read: {printable(str(error).splitlines()[0])}.") from error

    def _shown(self) -> str:
        if isinstance(self.node, yaml.ScalarNode):
            return f"'{printable(self.node.value)}'" if self.node.value else "nothing"
        return "a mapping" if isinstance(self.node, yaml.MappingNode) else "a list"


def read_yaml(file: Path) -> Entry:
    """Return the content of a YAML file. Tags that make objects are refused, as `yaml.safe_load` does.

    Raises:
        UserError: the file cannot be read, is no YAML, or is empty.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UserError(f"{printable(str(file))} cannot be read: {reason}.") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise UserError(f"{printable(str(file))}{_position(error)} is not YAML: {_problem(error)}.") from error
    except RecursionError as error:
        raise UserError(f"{printable(str(file))} cannot be read: it is nested too deeply.") from error
    if node is None:
        raise UserError(f"{printable(str(file))} is empty.")
    return Entry(file, "", node)


def _position(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f", line {mark.line + 1},"


def _problem(error: yaml.YAMLError) -> str:
    return printable(str(getattr(error, "problem", None) or error).splitlines()[0])


def _no_such_key(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, list(known), 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"is no key here{hint}: there are {', '.join(known)}."
