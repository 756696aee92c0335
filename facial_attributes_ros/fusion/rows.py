"""Named arrays that have a row a track."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

Index = NDArray[np.intp] | NDArray[np.bool_]


class Rows:
    """Base of dataclasses whose arrays all have a row a track; what is not an array belongs to all rows."""

    __slots__ = ()

    def at(self, rows: Index) -> Self:
        """Return a copy of some rows."""
        return replace(self, **{name: array[rows] for name, array in self._arrays().items()})  # type: ignore[type-var]

    def put(self, rows: Index, part: Self) -> None:
        """Replace some rows by those of another object."""
        for name, array in self._arrays().items():
            array[rows] = getattr(part, name)

    def append(self, part: Self) -> None:
        """Add the rows of another object at the end."""
        for name, array in self._arrays().items():
            setattr(self, name, np.concatenate([array, getattr(part, name)]))

    def keep(self, rows: Index) -> None:
        """Drop all other rows."""
        for name, array in self._arrays().items():
            setattr(self, name, array[rows])

    def _arrays(self) -> dict[str, NDArray[Any]]:
        values = {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
