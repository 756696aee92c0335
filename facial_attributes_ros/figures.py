"""matplotlib with its list of fonts and its configuration in this package's cache; all figures import it from here.

The import raises ModuleNotFoundError if matplotlib is not installed.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from facial_attributes_ros.cache import writable_cache


@contextmanager
def _folders_in_cache() -> Iterator[None]:
    """Make imports in the block, and fc-list, which they start, keep their files in the cache."""
    cache = str(writable_cache())
    before = {name: os.environ.get(name) for name in ("MPLCONFIGDIR", "XDG_CACHE_HOME")}
    os.environ |= {"MPLCONFIGDIR": before["MPLCONFIGDIR"] or f"{cache}/matplotlib", "XDG_CACHE_HOME": cache}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


with _folders_in_cache():
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

__all__ = ["Axes", "Figure", "MaxNLocator"]
