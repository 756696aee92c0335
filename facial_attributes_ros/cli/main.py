"""Entry point of the `facial-attributes` command.

Every subcommand is a module of this folder with `HELP`, `add_arguments(parser)` and `run(args) -> int`. The modules
import only the standard library at the top; torch, OpenCV and the like are imported inside `run`.
"""

import argparse
import errno
import importlib
import io
import keyword
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from facial_attributes_ros import __version__
from facial_attributes_ros.cli.common import PROGRAM, Parser, missing_package
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.privacy import keep_to_own_cache
from facial_attributes_ros.text import printable

SUBCOMMANDS = (
    "predict", "evaluate", "prepare", "label", "train", "compare", "info", "bench", "export", "import", "web",
)  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command with every subcommand added."""
    parser = Parser(prog=PROGRAM, description="Age, gender and emotion of faces: predict, train, measure.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log every step")
    subparsers = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)
    for name in SUBCOMMANDS:
        # `import` is a word of the language, so that its module has an underscore behind.
        module = importlib.import_module(f"facial_attributes_ros.cli.{name}{'_' if keyword.iskeyword(name) else ''}")
        subparser = subparsers.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def command() -> int:
    """Run this process's command line; return what `main` returns."""
    try:
        keep_to_own_cache()
    except UserError as error:
        return _mistake(error)
    return main()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 after a failure, 2 after a mistake, 3 if unfinished, 130 after Ctrl-C."""
    try:
        args = build_parser().parse_args(argv)
        _set_up_output(verbose=args.verbose)
        with _exit_when_terminated():
            code: int = args.run(args)
        sys.stdout.flush()
        return code
    except UserError as error:
        return _mistake(error)
    except ModuleNotFoundError as error:
        if (mistake := missing_package(error, args.subcommand)) is None:
            raise
        return _mistake(mistake)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`).
        _forget_output()
        return 141
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        _forget_output()
        return _mistake(UserError(f"The output cannot be written: {error.strerror}."))


def _mistake(error: UserError) -> int:
    """Print what the user can mend, on one line, and return the exit code."""
    print(f"{PROGRAM}: {printable(str(error))}", file=sys.stderr)
    return 2


class _OneLine(logging.Formatter):
    """Writes a message on one line, whatever the names in it hold."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the message without the traceback, which logging puts behind it."""
        return printable(record.message)


def _set_up_output(verbose: bool) -> None:
    """Let the log and whatever is printed take any name."""
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine())
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _forget_output() -> None:
    """Keep the interpreter from writing on exit what could not be written."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 (no path of the user's)
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


@contextmanager
def _exit_when_terminated() -> Iterator[None]:
    """Let a process that a signal ends remove what is half written, and end what it has started."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda number, _: sys.exit(128 + number)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(command())
