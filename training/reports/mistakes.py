"""The most confident mistakes of a model as images, in a page of their own that stays on this machine.

A label may be wrong, too: these are the images to look at first. They are no part of any report that is given on.
"""

import html
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from facial_attributes_training.data.archive import ImageError, is_remote
from facial_attributes_training.data.crops import CropReader
from facial_attributes_training.data.csv_tables import read_table
from facial_attributes_training.data.manifest import LABEL_COLUMNS, Manifest

from facial_attributes_ros.files import atomic_target, disk_errors

FOLDER, PAGE = "mistakes", "index.html"
MOST: Final = 24
"""Mistakes of a task that are shown."""
_SIDE: Final = 160
_MARGIN: Final = 0.2
_HEAD: Final = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Mistakes</title>\n'
    "<style>body{font:15px/1.4 system-ui,sans-serif;margin:2rem}figure{display:inline-block;width:170px;"
    "margin:.5rem;vertical-align:top}figcaption{font-size:13px}</style>\n</head>\n<body>\n"
)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong prediction: the image, what it shows by its label, the predicted class, and its probability."""

    path: str
    task: str
    truth: str
    predicted: str
    probability: float


def mistakes(predictions: Path, most: int = MOST) -> list[Mistake]:
    """Return the wrong predictions of highest probability of every task, from a file of `write_predictions`.

    Raises:
        UserError: the file can't be read.
    """
    lines = list(read_table(predictions, ("path",)))
    found: list[Mistake] = []
    for task, column in LABEL_COLUMNS.items():
        wrong = [
            Mistake(
                _absolute(line["path"], predictions.parent),
                task,
                line[column],
                line[f"predicted_{column}"],
                float(line[f"{task} {line[f'predicted_{column}']}"]),
            )
            for line in lines
            if line.get(f"predicted_{column}") and line[column] and line[column] != line[f"predicted_{column}"]
        ]
        found += sorted(wrong, key=lambda each: -each.probability)[:most]
    return found


def write_mistakes(folder: Path, found: Sequence[Mistake], manifest: Manifest, title: str) -> Path | None:
    """Write the faces of mistakes as images, and a page that shows them; None if there is none.

    Args:
        folder: of the report; the page and its images get one inside it.
        found: the mistakes.
        manifest: with the faces' boxes.
        title: of the page.

    Raises:
        UserError: no space or no write access.
    """
    if not found:
        return None
    target = folder / FOLDER
    with disk_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        figures = list(_figures(target, found, manifest))
        with atomic_target(target / PAGE) as partial:
            text = f"{_HEAD}<h1>{html.escape(title)}</h1>\n<p>These images stay on this machine. A label may be wrong, "
            text += "too: correct it, and train again.</p>\n" + "\n".join(figures) + "\n</body>\n</html>\n"
            partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    return target / PAGE


def _figures(target: Path, found: Sequence[Mistake], manifest: Manifest) -> Iterator[str]:
    reader = CropReader(manifest, _SIDE, _MARGIN)
    reader.images.index(manifest.paths)
    rows = {path: row for row, path in enumerate(manifest.paths.tolist())}
    for number, mistake in enumerate(found):
        name = f"{mistake.task}-{number + 1:02d}.jpg"
        try:
            crop = reader.crop(rows[mistake.path]).numpy().transpose(1, 2, 0)[..., ::-1]
        except (ImageError, KeyError):
            continue
        cv2.imwrite(str(target / name), np.ascontiguousarray(crop))
        caption = (
            f"labelled <b>{mistake.truth}</b>, predicted <b>{mistake.predicted}</b> "
            f"({100 * mistake.probability:.0f} %)<br>{html.escape(Path(mistake.path).name)}"
        )
        yield f'<figure><img src="{name}" alt=""><figcaption>{caption}</figcaption></figure>'


def _absolute(path: str, folder: Path) -> str:
    return path if is_remote(path) else os.path.normpath(folder.resolve() / path)
