#!/usr/bin/env python3
"""Follow the faces of a video or a webcam: each keeps its id, and its estimates are fused over time.

    python examples/02_video.py                # a made-up camera that pans over photographs
    python examples/02_video.py party.mp4
    python examples/02_video.py webcam

It shows: opening a source, processing its frames one after another, and how an estimate gains confidence with the
number of observations. A face is not estimated in every frame, only when an update is due.
"""

import argparse
import math
from collections.abc import Iterator

import facial_attributes_ros
from facial_attributes_ros.attributes import FaceAttributes
from facial_attributes_ros.imaging.sources import open_source


def main() -> None:
    """Print the faces in view once a second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", default="sample", help="sample, webcam, webcam:N, or a path")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the source to process (default: %(default)g)")
    parser.add_argument("--model", default="small", help="name or folder of a model (default: %(default)s)")
    args = parser.parse_args()

    for second, faces in faces_by_second(args.source, args.seconds, args.model):
        print(f"{second} s")
        for face in faces:
            emotion = f"{face.emotion.label} ({face.emotion.confidence:.2f})"
            print(f"  {face.id}: {face.gender.label}, {emotion}, observations: {face.observations}")


def faces_by_second(source: str, seconds: float, model: str) -> Iterator[tuple[int, list[FaceAttributes]]]:
    """Yield the faces in view after each second of a source, all estimates up to then fused."""
    pipeline = facial_attributes_ros.load_pipeline(model)
    shown = 0
    for image, stamp in open_source(source):
        if stamp > seconds:
            return
        result = pipeline.process(image, stamp)
        if math.floor(stamp) > shown:
            shown = math.floor(stamp)
            yield shown, result.faces


if __name__ == "__main__":
    main()
