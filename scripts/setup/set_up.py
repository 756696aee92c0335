"""Install everything that this checkout needs; what is there already is left alone.

python3 scripts/setup/set_up.py            the environment, the ROS messages and the model files
python3 scripts/setup/set_up.py --oldest   the environment with the oldest supported versions, for tests without ROS

`make run` sets up what running needs, without PyTorch; the rest is installed when another target needs it.
"""

import quiet_start  # isort: split

import argparse
import signal
import sys
from collections.abc import Sequence

from environment import LOCK, OLDEST, OLDEST_LOCK, RUN_LOCK, VENV, has_gpu, make_environment
from messages import build_messages
from preflight import check_compiler, check_path, check_python
from ros_env import PREFIX
from steps import ROOT, SetUpError, Stamp, command, one_at_a_time, os_errors, say

NEWEST_FOR_OLDEST = (3, 12)
"""The newest Python for which the oldest supported numpy, 1.26, has a wheel."""


def set_up(oldest: bool = False, to_run: bool = False) -> None:
    """Bring the checkout to a state where everything runs.

    Args:
        oldest: make the environment of the oldest supported versions, and nothing else.
        to_run: install only what running needs: no PyTorch unless there is a GPU, nothing for training and tests.

    Raises:
        SetUpError: something is missing or failed; the message is one sentence.
    """
    check_python()
    check_path()
    with os_errors(), one_at_a_time(ROOT / "build" / "set-up.lock"):
        if oldest:
            if sys.version_info[:2] > NEWEST_FOR_OLDEST:
                raise SetUpError("numpy 1.26 needs Python 3.11 or 3.12: name one with PYTHON=...")
            make_environment(OLDEST, OLDEST_LOCK)
            return
        if not (PREFIX / "stamp").exists():
            check_compiler()  # said before a minute of downloading rather than after it
        make_environment(VENV, RUN_LOCK if to_run and not has_gpu() else LOCK)
        build_messages(RUN_LOCK)
        _fetch_assets()
        _build_engine()


def _fetch_assets() -> None:
    """Have the library fetch the model files that it needs into the user's cache."""
    stamp = Stamp(VENV / "stamps" / "assets", [ROOT / "facial_attributes_ros" / "assets.py"])
    if stamp.valid():
        return
    say("Fetching the model files (90 MB) ...")
    command("fetch the model files", [VENV / "bin" / "python", "-m", "facial_attributes_ros.assets"])
    stamp.set()


def _build_engine() -> None:
    """Have the inference engine of the shipped model built into the user's cache, which a first run would wait for."""
    weights = ROOT / "facial_attributes_ros" / "models" / "weights"
    stamp = Stamp(VENV / "stamps" / "engine", [weights, ROOT / "facial_attributes_ros" / "engines", RUN_LOCK])
    if stamp.valid() or not weights.is_dir():
        return
    say("Building the inference engine of the model (half a minute) ...")
    code = "from facial_attributes_ros.engines.load import load_engine; load_engine('small')"
    command("build the inference engine", [VENV / "bin" / "python", "-c", code])
    stamp.set()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the set-up; return 0, 1 when it could not be done, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oldest", action="store_true", help="make the environment of the oldest versions only")
    parser.add_argument("--to-run", action="store_true", help="install only what running needs")
    args = parser.parse_args(argv)
    quiet_start.interrupt_on(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        set_up(args.oldest, args.to_run)
    except SetUpError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("Stopped; the next try goes on from here.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
