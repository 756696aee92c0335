"""Recipes as YAML files: read, overridden from the command line, and checked, with the line of every error."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import yaml
from facial_attributes_training.recipe.schema import Recipe
from pydantic import BaseModel, ValidationError

from facial_attributes_ros.errors import UserError

MOST_VALUES = 10_000
"""Largest number of values of a recipe."""

_Place = tuple[str | int, ...]


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: of the YAML file.
        overrides: `optimiser.lr=1e-4` and the like; the value is YAML.

    Raises:
        UserError: the file can't be read, or a key or value is wrong; the message names line and allowed values.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=_BoundedLoader)
        values = _parse_yaml(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the recipe {path} can't be read: {error}.") from error
    except (yaml.YAMLError, ValueError) as error:  # such as an impossible date
        raise UserError(f"the recipe {path} is not valid YAML: {_yaml_fault(error)}.") from error
    if node is None or not isinstance(values, dict):
        raise UserError(f"the recipe {path} must be a mapping of keys to values, such as `name: my-run`.")
    places = {_texts(where): f"line {line}" for where, line in _lines(node, path)}
    for override in overrides:
        where, value = _parse_override(override)
        _put(values, where, value)
        places[_texts(where)] = f"--set {override}"
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}, {'; '.join(_faults(error, places))}.") from error


class _BoundedLoader(yaml.SafeLoader):
    """Counts aliases with their content: a few lines of aliases of aliases could expand to fill all memory."""

    def get_single_node(self) -> yaml.Node | None:
        try:
            node: yaml.Node | None = super().get_single_node()
            if node is not None and _values_below(node, {}) > MOST_VALUES:
                raise yaml.composer.ComposerError(None, None, f"it has more than {MOST_VALUES} values", None)
        except RecursionError as error:
            raise yaml.composer.ComposerError(None, None, "it is nested too deeply", None) from error
        return node


def _values_below(node: yaml.Node, known: dict[yaml.Node, int | None]) -> int:
    """Return the number of values of a document, those of an alias each time it is used.

    Args:
        node: its root.
        known: the numbers of counted nodes; None for those that are being counted.

    Raises:
        yaml.YAMLError: a value holds itself.
    """
    if node not in known:
        known[node] = None
        children = node.value if isinstance(node, yaml.CollectionNode) else ()
        flat = chain.from_iterable(children) if isinstance(node, yaml.MappingNode) else children
        known[node] = 1 + sum(_values_below(child, known) for child in flat)
    count = known[node]
    if count is None:
        raise yaml.composer.ComposerError(None, None, "a value holds itself", node.start_mark)
    return count


def _parse_yaml(text: str) -> Any:
    return yaml.load(text, Loader=_BoundedLoader)  # noqa: S506 - it is a safe loader


def _lines(node: yaml.Node, path: Path, where: _Place = ()) -> Iterable[tuple[_Place, int]]:
    """Yield the line, from 1, of every key and list entry.

    Raises:
        UserError: a key is repeated in a mapping.
    """
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise UserError(f"{path}, line {line}: {key.value} is repeated, first on line {seen[key.value]}.")
            seen[key.value] = line
            yield (*where, key.value), line
            yield from _lines(value, path, (*where, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*where, index), value.start_mark.line + 1
            yield from _lines(value, path, (*where, index))


def _texts(where: _Place) -> tuple[str, ...]:
    """Return a place with its numbers as texts, since a key may be a number, too."""
    return tuple(map(str, where))


def _parse_override(text: str) -> tuple[_Place, Any]:
    key, mark, value = text.partition("=")
    if not mark or not all(key.split(".")):
        raise UserError(f"--set {text} is not of the form key.key=value, such as --set optimiser.lr=1e-4.")
    try:
        return tuple(int(part) if part.isdigit() else part for part in key.split(".")), _parse_yaml(value)
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"--set {text}: the value is not valid YAML: {_yaml_fault(error)}.") from error


def _put(values: dict[str, Any], where: _Place, value: object) -> None:
    inner: Any = values
    for part in where[:-1]:
        if isinstance(inner, list) and isinstance(part, int) and part < len(inner):
            inner = inner[part]
            continue
        if not isinstance(inner, dict) or isinstance(part, int):
            raise UserError(f"--set {'.'.join(map(str, where))}: the recipe has no such place.")
        if not isinstance(inner.get(part), dict | list):
            # An omitted section, or an adaptation given by its name alone.
            inner[part] = {"name": inner[part]} if isinstance(inner.get(part), str) else {}
        inner = inner[part]
    last: Any = where[-1]
    if not (isinstance(inner, dict) or (isinstance(inner, list) and isinstance(last, int) and last < len(inner))):
        raise UserError(f"--set {'.'.join(map(str, where))}: the recipe has no such place.")
    inner[last] = value


def _faults(error: ValidationError, places: dict[tuple[str, ...], str]) -> list[str]:
    found: dict[_Place, Any] = {}
    for fault in error.errors(include_url=False):
        # Where several types are allowed, pydantic reports each, with its name in the place; one is enough, best that
        # of the given type.
        where = tuple(part for part in fault["loc"] if isinstance(part, int) or part.isidentifier())
        if where not in found or found[where]["type"].endswith("_type"):
            found[where] = fault
    # A list with a wrong entry is reported as too short as well.
    deeper = {where[:n] for where in found for n in range(1, len(where))}
    return [_fault(where, fault, places) for where, fault in found.items() if where not in deeper]


def _fault(where: _Place, fault: Any, places: dict[tuple[str, ...], str]) -> str:
    key = ".".join(map(str, where))
    texts = _texts(where)
    place = next((places[texts[:n]] for n in range(len(where), 0, -1) if texts[:n] in places), "")
    before = f"{place}: " if place else ""
    kind, given = fault["type"], fault["input"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument", "invalid_key"):
        return f"{before}{key} is not a key here; allowed are {', '.join(_keys_at(where[:-1]))}"
    if kind == "missing":
        return f"{before}{key} is missing"
    if kind == "value_error":
        return f"{before}{key + ': ' if key else ''}{fault['ctx']['error']}".rstrip(".")
    wanted = (fault["msg"][0].lower() + fault["msg"][1:]).replace("valid tuple", "valid list")
    return f"{before}{key} is {given!r}, but {wanted}"


def _keys_at(where: _Place) -> list[str]:
    """Return the keys that a recipe has at a place."""
    found: Any = Recipe
    for part in where:
        if isinstance(part, int):
            continue
        fields = found.model_fields if isinstance(found, type) and issubclass(found, BaseModel) else {}
        found = _section_of(fields[part].annotation) if part in fields else None
    if isinstance(found, type) and issubclass(found, BaseModel):
        return list(found.model_fields)
    return list(getattr(found, "__dataclass_fields__", {}))


def _section_of(annotation: Any) -> Any:
    """Return the section inside an annotation such as `Section | None` or `tuple[Section, ...]`."""
    if isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or hasattr(annotation, "__dataclass_fields__")
    ):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_of(part))), None)


def _yaml_fault(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f"line {mark.line + 1}: " if mark else ""
    return f"{line}{getattr(error, 'problem', None) or error}"
