"""What visitors can download: the JSON of `predict`, and the same as a table."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from facial_attributes_ros.attributes import LABELS, json_key
from facial_attributes_ros.text import json_line

_PLAIN = ("id", "detection_confidence", "age", "age_stddev", "age_group", "gender", "emotion", "observations")


def json_lines(images: Iterable[Mapping[str, Any]]) -> str:
    """Return the JSON forms of images or frames, one a line."""
    return "".join(json_line(image) for image in images)


def csv_table(images: Iterable[Mapping[str, Any]]) -> str:
    """Return the faces of images or frames as a table: a row a face, an empty cell for what is unknown.

    Args:
        images: their JSON forms, see `attributes.image_dict`; a `stamp` becomes the first column.
    """
    images = list(images)
    stamped = any("stamp" in image for image in images)
    text = io.StringIO()
    columns = [*(["stamp"] if stamped else []), *_PLAIN, "box_x", "box_y", "box_width", "box_height"]
    probabilities = [(f"{json_key(task)}_probabilities", label) for task in LABELS for label in LABELS[task]]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*columns, *(f"{key.removesuffix('_probabilities')}: {label}" for key, label in probabilities)])
    for image in images:
        for face in image["faces"]:
            first = [image["stamp"]] if stamped else []
            numbers = [face[key][label] for key, label in probabilities]
            writer.writerow([*first, *(face[name] for name in _PLAIN), *face["box"], *numbers])
    return text.getvalue()
