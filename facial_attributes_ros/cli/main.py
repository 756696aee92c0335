"""Entry point of the `facial-attributes` command.

Every subcommand is a module of this folder with `HELP`, `add_arguments(parser)` and `run(args) -> int`. The modules
import only the standard library at the top; torch, OpenCV and the like are imported inside `run`.
"""

import argparse
import importlib
import keyword
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from facial_attributes_ros import __version__
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.privacy import keep_to_own_cache

SUBCOMMANDS = ("predict", "evaluate", "prepare", "train", "compare", "info", "bench", "export", "import")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command with every subcommand added."""
    parser = argparse.ArgumentParser(
        prog="facial-attributes", description="Age, gender and emotion of faces: predict, train, measure."
    )
    parser.add_argument("--version", action="version", version=f"facial-attributes {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens inside")
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
        print(f"facial-attributes: {error}", file=sys.stderr)
        return 2
    return main()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 after a failure, 2 after a mistake, 3 if unfinished, 130 after Ctrl-C."""
    args = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, format="%(message)s")
    try:
        with _exit_when_terminated():
            code: int = args.run(args)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"facial-attributes: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); keep the interpreter from complaining about it on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


@contextmanager
def _exit_when_terminated() -> Iterator[None]:
    """Let a process that is told to end remove what is half written, and end what it has started."""
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
