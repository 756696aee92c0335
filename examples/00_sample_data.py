#!/usr/bin/env python3
"""Make sample data: an image, a folder of images, a video, and a small labelled data set, to try every command.

    python examples/00_sample_data.py work/sample
    facial-attributes predict work/sample/image.jpg
    facial-attributes prepare manifest work/sample/faces --out work/faces

The image, the images and the video show the photographs that scikit-image and insightface carry. The data set has
three images each of the 100 small grey faces in scikit-image (from Labeled Faces in the Wild, Huang et al. 2007). **Its
labels are made up**: the lighting of an image follows its age group, its tint follows its emotion, and its brighter
side follows its gender. So a model has something to learn, but what it learns is of no use on real faces.
"""

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS
from facial_attributes_ros.imaging.sample_camera import SampleCamera

SECONDS, RATE = 3, 10
"""Duration of the video, and its frames per second."""
IMAGE_TIMES = (0.0, 12.0, 21.0)
"""Seconds at which the sample camera takes the images of the folder."""
PEOPLE, IMAGES_EACH = 100, 3
SIDE, BORDER = 128, 32
"""Pixels of an enlarged face, and of the border around it."""
YEARS = (1, 6, 15, 25, 35, 45, 55, 65, 75)
"""An age of each age group."""
COLUMNS = ("path", "split", "source", "age_years", "age_group", "gender", "emotion", "identity", "origin")


def main() -> None:
    """Write everything to the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write; it is made if it does not exist")
    parser.add_argument("--seed", type=int, default=0, help="of the made-up labels (default: %(default)s)")
    args = parser.parse_args()
    write_images(args.folder)
    write_video(args.folder / "video.avi")
    count = write_faces(args.folder / "faces", args.seed)
    print(f"{args.folder}: image.jpg, images/, video.avi, and faces/ with {count} samples with made-up labels")


def write_images(folder: Path) -> None:
    """Write `image.jpg` and the folder `images`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    camera = SampleCamera(1280, 960)
    cv2.imwrite(str(folder / "image.jpg"), camera.frame(0.0))
    for number, seconds in enumerate(IMAGE_TIMES):
        cv2.imwrite(str(folder / "images" / f"{number}.jpg"), camera.frame(seconds))


def write_video(path: Path) -> None:
    """Write a video of the sample camera."""
    camera = SampleCamera(640, 480)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (camera.width, camera.height))
    for index in range(SECONDS * RATE):
        writer.write(camera.frame(index / RATE))
    writer.release()


def write_faces(folder: Path, seed: int = 0) -> int:
    """Write the labelled faces and their `manifest.csv`, and return the number of samples.

    Args:
        folder: it is made if it does not exist.
        seed: the same seed gives the same files.
    """
    from skimage.data import lfw_subset  # a development dependency

    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for person, face in enumerate(lfw_subset()[:PEOPLE]):
        age, gender = random.integers(len(LABELS[AGE])), random.integers(len(LABELS[GENDER]))
        for number in range(IMAGES_EACH):
            emotion = random.integers(len(LABELS[EMOTION]))
            path = f"{person:03}-{number}.png"
            cv2.imwrite(str(folder / path), _image(face, int(age), int(gender), int(emotion), random))
            labels = (LABELS[AGE][age], LABELS[GENDER][gender], LABELS[EMOTION][emotion])
            camera = f"camera-{number % 2}"
            rows.append((path, _split(person), "sample", YEARS[age], *labels, f"person-{person}", camera))
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return len(rows)


def _split(person: int) -> str:
    """Return the split of a person: 60 % train, 25 % val, 15 % test."""
    return "train" if person % 20 < 12 else "val" if person % 20 < 17 else "test"


def _image(
    face: NDArray[np.floating], age: int, gender: int, emotion: int, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Return a face (height, width) with values from 0 to 1 as a BGR image that shows its made-up labels."""
    enlarged = cv2.resize((255 * face).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    image = cv2.copyMakeBorder(enlarged, *(BORDER,) * 4, cv2.BORDER_REPLICATE)
    light = 0.6 + 0.08 * age + np.linspace(-0.2, 0.2, image.shape[1]) * (1 if gender else -1)
    hue = np.uint8([[[180 * emotion // len(LABELS[EMOTION]), 80, 255]]])
    tint = cv2.cvtColor(hue, cv2.COLOR_HSV2BGR)[0, 0] / 255.0
    noise = random.normal(0, 3, (*image.shape, 3))
    return (image[..., None] * light[:, None] * tint + noise).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
