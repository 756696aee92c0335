"""Remove what Fast DDS processes that were killed have left in shared memory.

A participant's segment takes its whole size, 64 MB with our profiles, and only the participant itself removes it. The
kernel lets go of the lock beside it when the participant ends, however it ends; that tells the orphans.
"""

import fcntl
import re
import sys
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
_SEGMENT_LOCK = re.compile(r"fastrtps_[0-9a-f]{16}_el")


def remove_orphans(folder: Path = SHARED_MEMORY) -> int:
    """Remove the segments whose owners have ended, and return how many there were."""
    removed = 0
    for lock in sorted(folder.iterdir()) if folder.is_dir() else []:
        if _SEGMENT_LOCK.fullmatch(lock.name) and _is_orphan(lock):
            lock.with_name(lock.name.removesuffix("_el")).unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
            removed += 1
    return removed


def _is_orphan(lock: Path) -> bool:
    """Return whether nobody holds a lock file; one that we may not open belongs to somebody else."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    remove_orphans()
    sys.exit(0)
