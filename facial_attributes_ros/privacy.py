"""Dependencies send no telemetry and write no files outside the cache.

The import of the package calls `forbid_telemetry` before any of its modules imports a dependency. A process of our own,
a command or a node, calls `keep_to_own_cache` first.
"""

import os
import sys
from pathlib import Path
from typing import Final

SWITCHES: Final = {
    # ONNX Runtime, on Linux from 1.29 on: a device id, a database of events, and a connection to a collector. The
    # library reads this during its import; its function disable_telemetry_events is too late.
    "ORT_DISABLE_TELEMETRY": "1",
    # Hugging Face's hub, and transformers through peft and open_clip: facts about the machine in every request.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Programs that follow https://donottrack.sh.
    "DO_NOT_TRACK": "1",
}
"""Variables that switch telemetry off; a value that the user has set is kept."""

_FOLDERS: Final = {
    "CUDA_CACHE_PATH": "cuda",
    "MPLCONFIGDIR": "matplotlib",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TRITON_CACHE_DIR": "triton",
}
"""Variables of libraries that ignore XDG_CACHE_HOME, and their folders in the cache."""

_SHARED: Final = {"HF_HOME": "huggingface", "TORCH_HOME": "torch"}
"""Folders in the user's general cache with models and logins of other programs."""


def forbid_telemetry() -> None:
    """Switch off the telemetry of all dependencies, in this process and its children."""
    if "onnxruntime" in sys.modules and not os.environ.get("ORT_DISABLE_TELEMETRY"):
        import logging  # not above: a node imports this file first, and must react to Ctrl-C soon

        logging.getLogger(__name__).warning(
            "onnxruntime was imported before facial_attributes_ros, so its telemetry (from version 1.29 on) is not "
            "switched off: import it later, or set ORT_DISABLE_TELEMETRY=1."
        )
    for name, value in SWITCHES.items():
        os.environ[name] = os.environ.get(name) or value


def keep_to_own_cache() -> None:
    """Make all dependencies keep their files in the package's cache, in this process and its children.

    Models of Hugging Face's hub and of torchvision stay in the folders that other programs use too: they are downloaded
    only when a user asks for one.

    Raises:
        UserError: see `cache.cache_dir`.
    """
    from facial_attributes_ros.cache import cache_dir, can_write, temporary_cache

    cache = cache_dir()
    try:
        general = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError:  # no home
        general = cache
    for name, folder in _SHARED.items():
        os.environ.setdefault(name, str(general / folder))
    os.environ["FACIAL_ATTRIBUTES_CACHE"] = str(cache)
    os.environ["XDG_CACHE_HOME"] = str(cache)
    # Some of these libraries warn on import, or fail, if they can't write.
    place = cache if can_write(cache) else temporary_cache()
    for name, folder in _FOLDERS.items():
        os.environ.setdefault(name, str(place / folder))
