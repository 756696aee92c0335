#!/usr/bin/env python3
"""Estimate age, gender and emotion of every face in an image.

    python examples/01_image.py                # a photograph that scikit-image or insightface carries
    python examples/01_image.py photo.jpg

It shows: loading a model, reading an image, and what is known of a face: labels, probabilities and an age with its
standard deviation. A label is None while the model is not confident enough.
"""

import argparse

import facial_attributes_ros
from facial_attributes_ros.imaging.sample_images import sample_images
from facial_attributes_ros.text import plus_minus


def main() -> None:
    """Print a line for every face of the image that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", nargs="?", help="path of an image (default: a photograph from an installed package)")
    parser.add_argument("--model", default="small", help="name or folder of a model (default: %(default)s)")
    args = parser.parse_args()

    pipeline = facial_attributes_ros.load_pipeline(args.model)
    image = facial_attributes_ros.read_image(args.image or sample_images()[0])
    for face in pipeline.still(image):
        age = plus_minus(int(face.age), face.age_stddev, "years")  # completed years, as people say it
        group, gender, emotion = (
            distribution.label or "unknown" for distribution in (face.age_group, face.gender, face.emotion)
        )
        print(f"{face.id}: age {age} ({group}), {gender}, {emotion} ({face.emotion.confidence:.2f})")


if __name__ == "__main__":
    main()
