"""What the subcommands share: common options, inputs and outputs, tables, and sentences for what is missing."""

import argparse
import math
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TextIO

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import disk_errors

if TYPE_CHECKING:
    from facial_attributes_ros.detection.base import FaceDetector

PROGRAM = "facial-attributes"
TRAINING: Final = frozenset({"evaluate", "prepare", "train", "compare"})
"""Subcommands that need the extra `train`, whichever of its packages is missing first."""
PAGES: Final = frozenset({"web", "label"})
"""Likewise those that need the extra `web`."""
EXTRAS: Final = {
    "torch": ("accelerate", "huggingface_hub", "peft", "timm", "torch", "torchvision"),
    "zero-shot": ("open_clip",),
    "insightface": ("insightface",),
    "train": ("markdown", "matplotlib", "pydantic", "tensorboard"),
    "export": ("onnxscript",),
    "sample": ("skimage",),
    "web": ("jinja2", "starlette", "uvicorn", "websockets"),
}
"""Modules that each extra of pyproject.toml brings."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence, as all errors of the command are."""

    def error(self, message: str) -> NoReturn:
        """Raise UserError for an argument that is wrong or missing."""
        sentence = re.sub(r"^argument (.+?): (?=must )", r"\1 ", message).removeprefix("argument ")
        raise UserError(f"{sentence[0].upper()}{sentence[1:]}; see {self.prog} --help.")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add `--model`."""
    parser.add_argument("--model", default="small", help="name or folder of the model (default: %(default)s)")


def add_device_and_engine(parser: argparse.ArgumentParser) -> None:
    """Add `--device` and `--engine`, which `engines.load.load_engine` checks."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--engine", default="auto", help="auto, onnx, onnx-int8 or torch (default: %(default)s)")


def add_detector(parser: argparse._ActionsContainer, use: str = "") -> None:
    """Add `--detector`, which `detection.load.load_detector` checks; `use` says what it is for."""
    parser.add_argument(
        "--detector", default="yunet", help=f"{use}yunet, scrfd:FILE.onnx or scrfd:PACK (default: %(default)s)"
    )


def close_up_detector(name: str = "yunet") -> "FaceDetector":
    """Load a detector with the settings for images that one face fills."""
    from dataclasses import asdict

    from facial_attributes_ros.detection.load import load_detector
    from facial_attributes_ros.options import CLOSE_UP

    return load_detector(name, **asdict(CLOSE_UP))


def add_overrides(parser: argparse.ArgumentParser, example: str) -> None:
    """Add `--set`, which changes fields of a recipe; `example` is one such change."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help=f"change a field of the recipe, such as {example}; may be repeated",
    )


def whole_number(text: str) -> int:
    """Return an option's value as a whole number from 1 on.

    Raises:
        argparse.ArgumentTypeError: it is no such number.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, not {text}")
    return int(text)


def port_number(text: str) -> int:
    """Return an option's value as the number of a port.

    Raises:
        argparse.ArgumentTypeError: it is no such number.
    """
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 65535, not {text}")
    return int(text)


def whole_numbers(text: str) -> tuple[int, ...]:
    """Return an option's value as whole numbers from 1 on, which commas separate.

    Raises:
        argparse.ArgumentTypeError: one of them is no such number.
    """
    return tuple(whole_number(part) for part in text.split(","))


def positive_number(text: str) -> float:
    """Return an option's value as a finite number above 0.

    Raises:
        argparse.ArgumentTypeError: it is no such number.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text}")
    return value


def words(text: str) -> tuple[str, ...]:
    """Return an option's value as words, which commas separate."""
    return tuple(text.split(","))


def missing_package(error: ModuleNotFoundError, subcommand: str) -> UserError | None:
    """Return the sentence for a package that is not installed; None if no extra of this package brings it.

    Args:
        error: of the import.
        subcommand: that needs the package.
    """
    package = (error.name or "").partition(".")[0]
    extra = next((extra for extra, packages in EXTRAS.items() if package in packages), None)
    if extra is None:
        return None
    extra = "train" if subcommand in TRAINING else "web" if subcommand in PAGES else extra
    return UserError(f"{subcommand} needs {package}, which is not installed: pip install '.[{extra}]'.")


def command_line() -> str:
    """Return the command of this process, as it is kept in reports and models."""
    return shlex.join([PROGRAM, *sys.argv[1:]])


def warn(sentence: str) -> None:
    """Print a warning to standard error."""
    print(f"warning: {sentence}", file=sys.stderr)


def files_of(paths: Sequence[Path], suffixes: frozenset[str], kind: str) -> list[Path]:
    """Return the files that were named, and those with a suffix in the folders that were named.

    Args:
        paths: files and folders; folders are searched with all their subfolders.
        suffixes: of the files that are taken from folders.
        kind: what such files are called in an error, such as `images`.

    Raises:
        UserError: a path does not exist, or a folder holds no such file.
    """
    from facial_attributes_ros.imaging.folders import files_in

    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"There is no file or folder {path}.")
        inside = files_in(path, suffixes) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"There are no {kind} in {path}.")
        files += inside
    return files


def make_folder(folder: Path, option: str) -> None:
    """Make a folder for results, before any are computed.

    Args:
        folder: may exist already.
        option: that named it.

    Raises:
        UserError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The folder {folder} cannot be made ({error.strerror}): give another one with {option}."
        ) from error


@contextmanager
def output_file(path: Path | None) -> Iterator[TextIO]:
    """Give a file for text, or standard output if there is no path.

    Raises:
        UserError: it cannot be opened, or the disk is full.
    """
    if path is None:
        yield sys.stdout
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error
    with disk_errors(path), file:
        yield file


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]], left: int | None = None) -> None:
    """Print rows under a header, each column as wide as its longest cell.

    Args:
        header: titles of the columns.
        rows: cells, in the same order.
        left: how many columns are aligned to the left; the others, of numbers, to the right. All if not given.
    """
    table = [[str(cell) for cell in cells] for cells in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    left = len(header) if left is None else left
    for cells in table:
        padded = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        print("  ".join(padded).rstrip())
