"""Runs MediaPipe's face landmarker in the environment of `teacher`: images on standard input, a line of JSON out each.

Usage: python teacher_program.py face_landmarker.task SIDE

Every image is SIDE * SIDE * 3 bytes, RGB. The answer holds `scores` of the blendshapes by name and `pose`, yaw, pitch
and roll in degrees; it is empty if no face is seen. Nothing of this package is imported here.
"""

import json
import math
import sys
from typing import Any

import mediapipe  # type: ignore[import-not-found, unused-ignore]
import numpy as np


def main() -> None:
    """Answer until standard input ends."""
    vision = mediapipe.tasks.vision
    options = vision.FaceLandmarkerOptions(
        base_options=mediapipe.tasks.BaseOptions(model_asset_path=sys.argv[1]),
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
        num_faces=1,
    )
    side = int(sys.argv[2])
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        while data := sys.stdin.buffer.read(side * side * 3):
            pixels = np.frombuffer(data, np.uint8).reshape(side, side, 3)
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(pixels))
            sys.stdout.write(json.dumps(_answer(landmarker.detect(image))) + "\n")
            sys.stdout.flush()


def _answer(result: Any) -> dict[str, object]:
    if not result.face_blendshapes:
        return {}
    scores = {shape.category_name: round(float(shape.score), 5) for shape in result.face_blendshapes[0]}
    matrix = np.asarray(result.facial_transformation_matrixes[0])[:3, :3]
    yaw = math.degrees(math.atan2(matrix[0, 2], matrix[2, 2]))
    pitch = math.degrees(math.asin(max(-1.0, min(1.0, -float(matrix[1, 2])))))
    roll = math.degrees(math.atan2(matrix[1, 0], matrix[1, 1]))
    return {"scores": scores, "pose": [round(yaw, 2), round(pitch, 2), round(roll, 2)]}


if __name__ == "__main__":
    main()
