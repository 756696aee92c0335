"""How many images of a new camera bring how much: train the recipe my-lab on more and more of them, and plot the gain.

.venv/bin/python scripts/figures/lab_curve.py work/faces/manifest-val.csv --source affectnet --out runs/lab-curve

The camera is made up: faces of a source that the model was not trained on are made small, dark, bluish, noisy and
compressed. Other faces of that source, made alike, and further ones as they are, are measured and never trained on.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from facial_attributes_training.data.archive import ImageReader
from facial_attributes_training.data.manifest import Manifest, read_manifest, write_manifest
from facial_attributes_training.fit.run import train
from facial_attributes_training.fit.run_folder import PARENT_FILE
from facial_attributes_training.recipe.file import read_recipe
from facial_attributes_training.reports.plots import save_figure
from facial_attributes_training.reports.tables import Json
from numpy.typing import NDArray

from facial_attributes_ros.attributes import EMOTION, LABELS, MISSING
from facial_attributes_ros.cli.common import whole_number, whole_numbers
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.figures import Figure
from facial_attributes_ros.files import atomic_target, disk_errors

RECIPE = Path("config/recipes/my-lab.yaml")
SAME, OTHER = "same camera", "other images"
_COLUMNS = ("images", "measured on", "faces", "parent", "model", "gained", "low", "high")


def main() -> int:
    """Train, and write curve.csv and curve.png; return 0, or 2 after a mistake, which is one sentence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="labelled emotions that the model was not trained on")
    parser.add_argument("--source", required=True, help="take the rows of this source")
    parser.add_argument("--out", type=Path, required=True, help="folder for images, runs, table and plot")
    parser.add_argument("--sizes", type=whole_numbers, default=(20, 50, 100, 200, 500), help="numbers of images")
    parser.add_argument("--measured", type=whole_number, default=280, help="faces of each kind that are measured")
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="change a field of the recipe")
    args = parser.parse_args()
    try:
        rows = [row for size in args.sizes for row in measure(args, size)]
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    path = args.out / "curve.csv"
    with disk_errors(path), atomic_target(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([_COLUMNS, *rows])
    save_figure(plot(rows), args.out / "curve.png")
    return 0


def measure(args: argparse.Namespace, size: int) -> Iterator[tuple[object, ...]]:
    """Yield the rows of the table for a number of images, after training on them."""
    pool, same, other = prepared(args.manifest, args.source, args.out, max(args.sizes), args.measured)
    write_manifest(args.out / f"lab-{size}.csv", pool.take(np.arange(size)))
    overrides = [
        f"output={args.out / f'run-{size}'}",
        f"data.train=[{{manifest: {args.out / f'lab-{size}.csv'}}}]",
        f"data.reference=[{{manifest: {same}}}, {{manifest: {other}}}]",
        f"cache.folder={args.out / 'features'}",
        *args.overrides,
    ]
    recipe = read_recipe(RECIPE, overrides)
    if not (recipe.folder / PARENT_FILE).is_file():
        train(recipe, resume=True)
    for change in json.loads((recipe.folder / PARENT_FILE).read_text(encoding="utf-8"))["changes"]:
        if change["task"] == EMOTION and change["samples"] in (SAME, OTHER):
            yield _row(size, change)


def _row(size: int, change: Json) -> tuple[object, ...]:
    gained = change["accuracy"]
    figures = (
        change["parent"]["accuracy"],
        change["model"]["accuracy"],
        *(gained[k] for k in ("value", "low", "high")),
    )
    return size, change["samples"], change["rows"], *(round(100 * value, 1) for value in figures)


def prepared(manifest: Path, source: str, out: Path, most: int, measured: int) -> tuple[Manifest, Path, Path]:
    """Return the images to train on, in their order, and the manifests of those that are measured.

    Raises:
        UserError: there are too few.
    """
    rows = read_manifest(manifest)
    rows = rows.take((rows.sources == source) & (rows.labels[EMOTION] != MISSING))
    order = _mixed(rows.labels[EMOTION])
    if len(order) < most + 2 * measured:
        raise UserError(f"{manifest} has {len(order)} emotions of {source}, and {most + 2 * measured} are needed.")
    parts = np.split(order[: most + 2 * measured], [measured, 2 * measured])
    same, other, pool = (rows.take(part) for part in parts)
    files = out / "same.csv", out / "other.csv"
    write_manifest(files[0], replace(_as_seen(same, out / "same"), sources=np.full(len(same), SAME)))
    write_manifest(files[1], replace(other, sources=np.full(len(other), OTHER)))
    return replace(_as_seen(pool, out / "pool"), sources=np.full(len(pool), "lab")), *files


def _mixed(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return indices in an order in which every beginning has about as many of every class, as long as there are."""
    random = np.random.default_rng(0)
    shuffled = random.permutation(len(labels))
    ranks = np.zeros(len(labels), np.int64)
    for label in range(len(LABELS[EMOTION])):
        own = shuffled[labels[shuffled] == label]
        ranks[own] = np.arange(len(own))
    return np.asarray(np.lexsort([random.random(len(labels)), ranks]), np.int64)


def _as_seen(rows: Manifest, folder: Path) -> Manifest:
    """Return samples as the made-up camera shows them; boxes and landmarks stay where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    reader = ImageReader()
    reader.index(rows.paths)
    paths = []
    for number, path in enumerate(rows.paths.tolist()):
        file = folder / f"{number:04d}.png"
        if not file.is_file():
            cv2.imwrite(str(file), poor(reader.image(path), number))
        paths.append(str(file.resolve()))
    return replace(rows, paths=np.array(paths))


def poor(image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Return an image as a poor camera far away in a dim room would take it, of the same size."""
    random = np.random.default_rng(seed)
    height, width = image.shape[:2]
    scale = random.uniform(48, 72) / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    light = cv2.GaussianBlur(small, (0, 0), random.uniform(0.4, 0.8)).astype(np.float64) / 255
    light = light ** random.uniform(1.2, 1.5) * random.uniform(0.4, 0.7) * np.array([1.15, 0.97, 0.85])
    noisy = np.clip(255 * light + random.normal(0, 7, light.shape), 0, 255).astype(np.uint8)
    sent = cv2.imdecode(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 45])[1], cv2.IMREAD_COLOR)
    assert sent is not None  # noqa: S101 (it was encoded a line above)
    return np.asarray(cv2.resize(sent, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def plot(rows: Sequence[tuple[object, ...]]) -> Figure:
    """Draw the accuracy that is gained, with its intervals, by the number of images."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for name, shift, marker in ((SAME, 0.97, "o"), (OTHER, 1.03, "s")):
        sizes, values, low, high = (np.array([row[i] for row in rows if row[1] == name], float) for i in (0, 5, 6, 7))
        errors = [values - low, high - values]
        axes.errorbar(sizes * shift, values, errors, marker=marker, capsize=3, label=f"{name}, not trained on")
    axes.axhline(0, color="0.5", linewidth=1)
    axes.set_xscale("log")
    counts = sorted({int(str(row[0])) for row in rows})
    axes.set_xticks(counts, map(str, counts))
    axes.minorticks_off()
    axes.set_xlabel("labelled images of the new camera")
    axes.set_ylabel("accuracy of emotion gained, points")
    axes.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    sys.exit(main())
