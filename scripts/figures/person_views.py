"""Predict several views of labelled images of known people, for `resting_face_figures.py`.

.venv/bin/python scripts/figures/person_views.py --manifest work/faces/manifest.csv --out work/views.npz

A view is a crop that is shifted, scaled, relit, reduced to fewer pixels and compressed at random, as it is from frame
to frame on a robot. People of whom there is one image get the plain crop only.
"""

import argparse
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from facial_attributes_training.data.archive import ImageReader
from facial_attributes_training.data.manifest import IDENTITY, Manifest, read_manifests
from numpy.typing import NDArray
from person_streams import PersonViews

from facial_attributes_ros.attributes import EMOTION, MISSING
from facial_attributes_ros.detection.load import load_detector
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.imaging.crop import crop_face
from facial_attributes_ros.options import CLOSE_UP
from facial_attributes_ros.progress import ProgressBar

KINDS: Final = ("plain", *["jitter"] * 6, *["turn"] * 2, *["light"] * 2)


def view(
    rng: np.random.Generator, image: NDArray[np.uint8], box: NDArray[np.float32], kind: str, size: int, margin: float
) -> NDArray[np.uint8]:
    """Return one view of a face, uint8 (size, size, 3)."""
    if kind == "plain":
        return crop_face(image, box, size, margin)
    x, y, width, height = box.astype(np.float64)
    scale, (right, down) = rng.uniform(0.9, 1.14), rng.normal(0, 0.03, 2) * max(width, height)
    place = (x + width * (1 - scale) / 2 + right, y + height * (1 - scale) / 2 + down, width * scale, height * scale)
    crop = crop_face(image, place, size, margin)
    if kind == "turn":
        crop = _turned(rng, crop)
    lit = _lit_from_one_side(rng, crop) if kind == "light" else crop * rng.uniform(0.75, 1.25) + rng.uniform(-12, 12)
    return _coarse(rng, np.clip(lit, 0, 255).astype(np.uint8))


def _turned(rng: np.random.Generator, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the crop as a plane that is turned away by a perspective."""
    size, far = len(crop), rng.uniform(0.15, 0.3) * len(crop)
    square = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    turned = square + np.array([[far, far / 2], [-far / 3, 0], [-far / 3, 0], [far, -far / 2]], np.float32)
    if rng.random() < 0.5:
        turned = np.array([size, 0], np.float32) + turned[[1, 0, 3, 2]] * np.array([-1, 1], np.float32)
    matrix = cv2.getPerspectiveTransform(square, turned)
    return np.asarray(cv2.warpPerspective(crop, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _lit_from_one_side(rng: np.random.Generator, crop: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the crop with a gradient of brightness and another gamma."""
    ramp, angle = np.linspace(-1, 1, len(crop)), rng.uniform(0, 2 * np.pi)
    light = 0.65 + 0.45 * (np.cos(angle) * ramp[None] + np.sin(angle) * ramp[:, None])
    relit = np.clip(crop * np.clip(light, 0.12, 1.4)[..., None] / 255, 0, 1)
    return np.asarray(255 * relit ** rng.uniform(0.7, 1.5))


def _coarse(rng: np.random.Generator, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the crop reduced to fewer pixels, and half of the time compressed."""
    size, side = len(crop), int(rng.uniform(0.4, 1.0) * len(crop))
    small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(45, 90))]
        return np.asarray(cv2.imdecode(cv2.imencode(".jpg", coarse, quality)[1], cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(coarse, np.uint8)


def predict_views(manifest: Manifest, model: str) -> PersonViews:
    """Predict the views of all images in which a face is found."""
    engine = load_engine(model, "auto", "auto")
    detector, reader, rng = load_detector("yunet", **asdict(CLOSE_UP)), ImageReader(), np.random.default_rng(0)
    people = _people(manifest)
    several, spec = Counter(people), engine.spec
    rows, logits = [], []
    with ProgressBar("images", len(manifest)) as bar:
        for row, (path, person) in enumerate(zip(manifest.paths, people, strict=True)):
            bar(row + 1, len(manifest))
            image = reader.image(str(path))
            faces = detector.detect(image)
            if not faces:
                continue
            box = max(faces, key=lambda face: float(face.box[2] * face.box[3]) * face.score).box
            kinds = KINDS if person and several[person] > 1 else KINDS[:1]
            crops = [view(rng, image, box, kind, spec.image_size, spec.crop_margin) for kind in kinds]
            found = np.full((len(KINDS), spec.outputs(EMOTION)), np.nan)
            found[: len(kinds)] = engine.logits(np.stack(crops), [EMOTION])[EMOTION]
            rows.append(row)
            logits.append(found)
    kept = np.array(rows)
    emotions = manifest.labels[EMOTION][kept]
    return PersonViews(np.stack(logits), np.array(KINDS), emotions, manifest.sources[kept], people[kept])


def _people(manifest: Manifest) -> NDArray[np.str_]:
    identity = manifest.extra.get(IDENTITY, np.full(len(manifest), ""))
    return np.where(identity == "", "", np.char.add(np.char.add(manifest.sources, "/"), identity))


def main() -> None:
    """Write the views of all samples that have an emotion."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, nargs="+", required=True, help="with the column identity")
    parser.add_argument("--split", action="append", default=[], help="only samples of this split; may be repeated")
    parser.add_argument("--model", default="small", help="name or folder of the model (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    args = parser.parse_args()
    manifest = read_manifests(args.manifest)
    manifest = manifest.split(*args.split) if args.split else manifest
    manifest = manifest.take(np.flatnonzero(manifest.labels[EMOTION] != MISSING))
    predict_views(manifest, args.model).write(args.out)
    sys.stdout.write(f"{args.out}\n")


if __name__ == "__main__":
    main()
