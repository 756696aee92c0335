"""`facial-attributes web`: the demonstrator, pages in a browser for images, videos and the webcam."""

import argparse
import logging
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from facial_attributes_ros.attributes import TASKS
from facial_attributes_ros.cli.common import add_detector, add_device_and_engine, words
from facial_attributes_ros.cli.serving import add_serving, serve
from facial_attributes_ros.errors import UserError

if TYPE_CHECKING:
    from facial_attributes_ros.web.app import Part

_LOGGER = logging.getLogger(__name__)

HELP = "a page for the browser: the faces of images, videos and the webcam"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help="name or folder of a model to put first in the list; may be repeated",
    )
    add_detector(parser)
    add_device_and_engine(parser)
    parser.add_argument(
        "--tasks",
        type=words,
        default=TASKS,
        metavar="TASKS",
        help="comma-separated, such as age,gender; no others are computed (default: all)",
    )
    add_serving(parser)


def run(args: argparse.Namespace) -> int:
    """Print the address of the page, and serve it until Ctrl-C."""
    # A video names no further files or addresses that FFmpeg would open.
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file")
    serve(args, _pages(args), "what is sent can be read on the way, and browsers give no webcam")


def _pages(args: argparse.Namespace) -> "list[Part]":
    """Return the pages of the demonstrator, after a check of what the user has named."""
    from facial_attributes_ros.engines.load import load_engine, resolve_device
    from facial_attributes_ros.models.registry import model_folder
    from facial_attributes_ros.web.demonstrator.models import Models
    from facial_attributes_ros.web.demonstrator.part import demonstrator
    from facial_attributes_ros.web.demonstrator.session import Workshop
    from facial_attributes_ros.web.model_cards import model_cards

    if unknown := sorted(set(args.tasks) - set(TASKS)):
        raise UserError(f"There is no task {', '.join(unknown)}: choose of {', '.join(TASKS)}.")
    for model in args.model:
        model_folder(model)
    resolve_device(args.device, args.engine)
    load = partial(load_engine, device=args.device, engine=args.engine)
    models = Models(args.model, args.detector, load, args.tasks)
    page = demonstrator(Workshop(models, _examples()))
    return [page, model_cards(models, [page])]


def _examples() -> tuple[Path, ...]:
    from facial_attributes_ros.imaging.sample_images import sample_images

    try:
        return tuple(sample_images())
    except UserError as error:
        _LOGGER.info("The page has no examples. %s", error)
        return ()
