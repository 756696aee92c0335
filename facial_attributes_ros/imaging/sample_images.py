"""Photographs of faces that installed packages carry, for samples, examples and measurements."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from facial_attributes_ros.errors import UserError

_PHOTOGRAPHS: Final = {"insightface": "data/images/t1.jpg", "scikit-image": "data/astronaut.png"}
"""File in a package: six faces, and one."""
_MODULES: Final = {"scikit-image": "skimage"}


def sample_images(*packages: str) -> list[Path]:
    """Return the photographs of the packages that are installed.

    Args:
        packages: `insightface` (six faces), `scikit-image` (one face); both by default, in this order.

    Raises:
        UserError: none of them is installed.
    """
    found = [path for package in packages or _PHOTOGRAPHS if (path := _photograph(package)) is not None]
    if not found:
        names = " or ".join(packages or _PHOTOGRAPHS)
        raise UserError(f"The sample photographs need {names}: pip install scikit-image.")
    return found


def _photograph(package: str) -> Path | None:
    # The package is located without importing it: insightface takes seconds.
    spec = find_spec(_MODULES.get(package, package))
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / _PHOTOGRAPHS[package]
    return path if path.is_file() else None
