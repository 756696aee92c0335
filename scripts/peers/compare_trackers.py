"""Try our tracker and those of the package `trackers` (roboflow) on the same synthetic crossings; print a table.

`trackers` needs numpy 2, so give it an environment of its own, in which our tracker runs as well:

    python3 -m venv work/trackers && work/trackers/bin/pip install trackers==2.6.1 scipy
    PYTHONPATH=. work/trackers/bin/python scripts/peers/compare_trackers.py --crossings 100
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import numpy as np
from crossings import Crossing, Follow, cross

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.tracking.tracker import Tracker

KINDS = {
    "apart": Crossing(overlap=False),
    "hidden": Crossing(),
    "hidden, sizes ±30 %": Crossing(alike=0.3),
    "hidden, no detection up to 0.9 s": Crossing(blackout=0.9),
    "hidden, 20 % missed": Crossing(missed=0.2),
}
Maker = Callable[[float], Follow]


def ours(_rate: float) -> Follow:
    """Return a new tracker of this package; it needs no frame rate."""
    tracker = Tracker()

    def follow(boxes: np.ndarray, scores: np.ndarray, now: float) -> list[str | None]:
        seen = [Detection(box.astype(np.float32), float(score)) for box, score in zip(boxes, scores, strict=True)]
        names = {id(track.detection): track.id for track in tracker.update(seen, now)}
        return [names.get(id(detection)) for detection in seen]

    return follow


def theirs(name: str) -> Maker:
    """Return what makes a tracker of the package `trackers`, at its defaults."""
    import supervision
    import trackers

    def make(rate: float) -> Follow:
        # The buffer is given in frames of a camera at 30 a second: one second, as with ours.
        tracker = getattr(trackers, name)(lost_track_buffer=30, frame_rate=rate)

        def follow(boxes: np.ndarray, scores: np.ndarray, now: float) -> list[int | None]:
            corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).reshape(-1, 4)
            seen = supervision.Detections(xyxy=corners, confidence=scores, data={"row": np.arange(len(boxes))})
            found: list[int | None] = [None] * len(boxes)
            tracked = tracker.update(seen, timestamp=now)
            if len(tracked):
                for row, number in zip(tracked.data["row"], tracked.tracker_id, strict=True):
                    found[row] = int(number) if number >= 0 else None
            return found

        return follow

    return make


def rows(crossings: int, rates: list[float]) -> Iterator[str]:
    """Yield the lines of the table."""
    makers: dict[str, Maker] = {"ours": ours}
    if find_spec("trackers"):
        makers |= {name: theirs(f"{name}Tracker") for name in ("ByteTrack", "SORT", "OCSORT")}
    yield "| crossing | frames/s | " + " | ".join(makers) + " |"
    yield "|---" * (len(makers) + 2) + "|"
    for name, kind in KINDS.items():
        for rate in rates:
            how = Crossing(kind.overlap, rate, kind.alike, kind.jitter, kind.missed, kind.blackout)
            cells = []
            for make in makers.values():
                outcomes = [cross(how, seed, make(rate)) for seed in range(crossings)]
                counts = [sum(getattr(one, field) for one in outcomes) for field in ("swapped", "confused", "renamed")]
                cells.append(" / ".join(map(str, counts)))
            yield f"| {name} | {rate:g} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crossings", type=int, default=100, help="of each kind and rate")
    parser.add_argument("--rates", default="5,10,15,30", help="frames a second, with commas between")
    arguments = parser.parse_args()
    sys.stdout.write(f"Of {arguments.crossings} crossings: swapped / ever confused / renamed\n\n")
    for row in rows(arguments.crossings, [float(rate) for rate in arguments.rates.split(",")]):
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
