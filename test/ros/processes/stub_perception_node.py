"""The perception node with stand-ins for detector, model and pipeline that do what the picture says.

The first pixel of a frame holds the number of faces (blue), whether to say "at work" and go on when there is a file
STUB_GATE only (green) and how to fail (red): 1 as any bug, 2 as a panic of a library, 3 as the model does.
"""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from facial_attributes_ros.attributes import (
    AGE,
    EMOTION,
    GENDER,
    LABELS,
    Detection,
    Distribution,
    FaceAttributes,
)
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.spec import ModelSpec
from facial_attributes_ros.pipeline import EstimateError, FrameResult
from facial_attributes_ros.ros.perception import configured, frames
from facial_attributes_ros.ros.perception import node as perception_node


def peaked(task, index, threshold=0.5, height=0.7):
    classes = len(LABELS[task])
    probabilities = np.full(classes, (1 - height) / (classes - 1), np.float32)
    probabilities[index] = height
    return Distribution(task, probabilities, threshold)


class StubPipeline:
    def __init__(self, detector, engine, options):
        self.detector, self.engine, self.options = detector, engine, options
        self.wanted = []

    def process(self, image, stamp, tasks=None):
        faces, hold, fail = (int(value) for value in image[0, 0])
        if hold:
            sys.stdout.write("at work\n")
        while hold and not Path(os.environ["STUB_GATE"]).exists():
            time.sleep(0.02)
        if fail == 1:
            raise RuntimeError("the picture says so")
        if fail == 2:
            raise SystemExit("the picture panics")
        if fail == 3:
            tasks = ()
        tasks = self.options.tasks if tasks is None else tasks
        result = FrameResult([self.face(i, stamp, tasks) for i in range(faces)], {"detect": 0.001})
        if fail == 3:
            raise EstimateError("The model fails, as the picture says.", result)
        return result

    def reset(self):
        sys.stdout.write("reset\n")

    def use(self, engine):
        self.engine = engine

    def still(self, image):
        return [self.face(i, 0.0, self.options.tasks) for i in range(int(image[0, 0, 0]))]

    def face(self, index, stamp, tasks):
        lowest = self.options.thresholds
        known = {
            task: peaked(task, 1, lowest.get(task, 0.5)) if task in tasks else Distribution.unknown(task)
            for task in LABELS
        }
        box = np.array([10 + 20 * index, 5, 16, 16], np.float32)
        age = 30.0 if AGE in tasks else float("nan")
        landmarks = np.arange(10, dtype=np.float32).reshape(5, 2)
        return FaceAttributes(
            id=f"f{index}",
            detection=Detection(box, 0.9, landmarks),
            age=age,
            age_stddev=age / 10,
            age_group=known[AGE],
            gender=known[GENDER],
            emotion=known[EMOTION],
            observations=3,
            updated=stamp,
        )


def load_engine(model, device, engine, threads):
    time.sleep(float(os.environ.get("STUB_LOAD_SECONDS", "0")))
    while "STUB_LOAD_GATE" in os.environ and not Path(os.environ["STUB_LOAD_GATE"]).exists():
        time.sleep(0.02)
    if model == "broken":
        raise UserError("The weights of the model broken have a wrong hash; fetch them again.")
    if model == "bug":
        raise RuntimeError("a layer has another shape")
    spec = replace(ModelSpec.identified(model_folder("small")), name=model)
    return SimpleNamespace(spec=spec, device="cpu", name="stub", warm_up=lambda *_: None)


def load_detector(name, **options):
    return SimpleNamespace(options=None, detect=lambda _: [])


def create(finish, options):
    configured.load_engine = load_engine
    configured.load_detector = load_detector
    configured.FramePipeline = StubPipeline
    # So that tests need not wait for a warning of the same kind.
    frames.THROTTLED["throttle_duration_sec"] = float(os.environ.get("STUB_LOG_PERIOD", "0.001"))
    return perception_node.create(finish, options)
