#!/usr/bin/env python3
"""Adapt the model `small` to your own faces, and compare it with the model before.

    python examples/05_adapt_a_model.py                                      # sample faces with made-up labels
    python examples/05_adapt_a_model.py work/faces/manifest.csv --tasks age,gender

It shows: a recipe that starts from a finished model and trains the same blocks and heads further, and the figures that
`facial-attributes evaluate` prints as JSON. On the sample faces it takes a few minutes on a CPU.
The manifest needs the splits train and val, on which the model is adapted, and test, on which both are measured:
`facial-attributes prepare` makes it of a data set (docs/data.md). The training extra must be installed.
"""

import argparse
import json
import runpy
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from facial_attributes_ros.attributes import TASKS
from facial_attributes_ros.cli.main import main as facial_attributes
from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.spec import ModelSpec
from facial_attributes_ros.text import with_interval


def main() -> None:
    """Train, measure both models, and print their accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", nargs="?", type=Path, help="labelled images (default: sample faces)")
    parser.add_argument("--tasks", default=",".join(TASKS), help="comma-separated (default: %(default)s)")
    parser.add_argument("--start", default="small", help="name or folder of the model to adapt (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("work/adapted"), help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=3, help="default: %(default)s")
    args = parser.parse_args()

    manifest = args.manifest or sample_faces(args.out / "sample")
    tasks = args.tasks.split(",")
    adapted = adapt(manifest, tasks, args.start, args.out, args.epochs)
    before, after = accuracies(args.start, manifest), accuracies(str(adapted), manifest)
    for task in (task for task in tasks if task in after):  # the others are predicted as before
        print(f"{task}: accuracy {before.get(task, 'not predicted')} before, {after[task]} after")
    print(f"The adapted model is in {adapted}.")


def sample_faces(folder: Path) -> Path:
    """Make faces with labels that are made up, and return their manifest."""
    make = runpy.run_path(str(Path(__file__).with_name("00_sample_data.py")))["write_faces"]
    make(folder)
    return folder / "manifest.csv"


def adapt(manifest: Path, tasks: list[str], start: str, folder: Path, epochs: int) -> Path:
    """Train a model further, choose the best epoch on the split val, and return the new model's folder."""
    spec = ModelSpec.read(model_folder(start))
    weights = spec.backbone.weights
    recipe = {
        "name": "adapted",
        "output": str(folder / "run"),
        "backbone": {
            "name": spec.backbone.name,
            "weights": None if weights == "included" else weights,
            "image_size": spec.image_size,
            "architecture": spec.backbone.architecture,
            "start": start,
        },
        "adaptation": spec.adaptation["name"],
        "tasks": tasks,
        "data": {
            "train": [{"manifest": str(manifest), "splits": ["train"]}],
            "validation": [{"manifest": str(manifest), "splits": ["val"]}],
            "crop_margin": spec.crop_margin,
        },
        "optimiser": {"lr": 1e-3},
        "epochs": epochs,
        "batch_size": 32,
    }
    path = folder / "recipe.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(recipe, indent=1), encoding="utf-8")  # JSON is YAML
    command("train", str(path))
    return folder / "run" / "model"


def accuracies(model: str, manifest: Path) -> dict[str, str]:
    """Return the accuracy of each task on the split test, with its 95 % interval."""
    evaluation = ["--model", model, "--manifest", str(manifest), "--split", "test", "--engine", "torch"]
    results = json.loads(command("evaluate", *evaluation, "--json"))["results"]
    tasks = results.get("all") or next(iter(results.values()))  # a data set with several sources has their sum, too
    return {
        task: with_interval(*(figures["accuracy"][name] for name in ("value", "low", "high")), percent=True, unit="%")
        for task, figures in tasks.items()
    }


def command(*arguments: str) -> str:
    """Run `facial-attributes` in this process, and return what it prints."""
    with redirect_stdout(StringIO()) as printed:
        code = facial_attributes(arguments)
    if code:
        sys.exit(code)  # the command has printed why
    return printed.getvalue()


if __name__ == "__main__":
    main()
