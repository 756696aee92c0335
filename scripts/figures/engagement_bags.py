"""Print how the interlocutor agrees with the labelled recordings of hri_engagement, which are read and not kept.

.venv/bin/python scripts/figures/engagement_bags.py FOLDER

FOLDER is `test/_obsolete_tests/complex_bags` of a clone of https://github.com/ros4hri/hri_engagement: recordings of
7 to 15 s of one or two people who all look at the camera (`eng`) or do not (`dis`). They hold no images, but the frames
of the faces, so distance, bearing and facing are known, and attributes are not.
"""

import argparse
import math
import sqlite3
import struct
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from facial_attributes_ros.dialogue.interlocutor import InterlocutorTracker
from facial_attributes_ros.dialogue.scene import Cues, Scene, SeenFace

FACE = 0.16
"""Width of a head in metres, for the size of the face in an image whose height is 1 m at a distance of 1 m."""
TOWARDS, WIDTH = math.radians(30), math.radians(6)
"""Angle between the head and the camera at which facing is as probable as not, and how fast that changes with it."""
PERIOD = 0.1
SETTLED = 2.0
"""Seconds at the start that are not counted."""


def transforms(data: bytes) -> Iterator[tuple[float, str, tuple[float, ...]]]:
    """Yield stamp, child frame, and translation and quaternion (x, y, z, w) of a serialised `tf2_msgs/TFMessage`."""
    body = data[4:]
    (count,) = struct.unpack_from("<I", body)
    place = 4
    for _ in range(count):
        place += -place % 4
        seconds, nanoseconds = struct.unpack_from("<iI", body, place)
        _, place = _text(body, place + 8)
        child, place = _text(body, place)
        place += -place % 8
        yield seconds + nanoseconds * 1e-9, child, struct.unpack_from("<7d", body, place)
        place += 56


def _text(body: bytes, place: int) -> tuple[str, int]:
    place += -place % 4
    (length,) = struct.unpack_from("<I", body, place)
    return body[place + 4 : place + 3 + length].decode(), place + 4 + length


def seen_face(name: str, values: tuple[float, ...]) -> SeenFace:
    """Return the face whose frame (x out of the face) has a pose in the camera's optical frame."""
    position, (x, y, z, w) = np.array(values[:3]), values[3:]
    distance = float(np.linalg.norm(position))
    out = np.array([1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)])
    angle = math.acos(float(np.clip(-out @ position / max(distance, 1e-6), -1, 1)))
    facing = 1 / (1 + math.exp((angle - TOWARDS) / WIDTH))
    cues = Cues(distance=distance, bearing=math.atan2(position[0], position[2]), facing=facing)
    return SeenFace(name, position[0] / position[2], position[1] / position[2], FACE / distance, cues=cues)


def scenes(file: Path) -> Iterator[Scene]:
    """Yield the faces of a recording, ten times a second."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as bag:
        query = "select data from messages join topics on topics.id = topic_id where name = '/tf' order by timestamp"
        found = sorted(one for (data,) in bag.execute(query) for one in transforms(data) if one[1].startswith("face_"))
    faces: dict[str, tuple[float, SeenFace]] = {}
    due = -math.inf
    for stamp, name, values in found:
        faces[name] = stamp, seen_face(name, values)
        if stamp >= due:
            due = stamp + PERIOD
            yield Scene(stamp, {key: face for key, (last, face) in faces.items() if stamp - last < 0.3})


def main() -> None:
    """Print a table with a recording a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    lines = ["| recording | looks at the camera | with an interlocutor | changes of person |", "|---|---|---|---|"]
    for file in sorted(parser.parse_args().folder.rglob("*.db3")):
        tracker = InterlocutorTracker()
        seen = [(scene.stamp, tracker.update(scene)) for scene in scenes(file)]
        if not seen:
            continue
        late = [one for stamp, one in seen if stamp - seen[0][0] >= SETTLED]
        people = [one.encounter for one in late if one.face]
        changes = sum(a != b for a, b in pairwise(people))
        share = 100 * len(people) / max(len(late), 1)
        lines.append(f"| {file.stem} | {'yes' if '_eng_' in file.stem else 'no'} | {share:.0f} % | {changes} |")
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
