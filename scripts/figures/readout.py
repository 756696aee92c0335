"""Fit the last layer of emotion of a model, show what it does on sources left out, and write a copy of the model.

.venv/bin/python scripts/figures/readout.py runs/small-2-fine/model --manifest work/faces/manifest-val.csv \
    work/faces/manifest-train.csv --unseen cfee --unseen radboud,cfd --out runs/small-2-readout

Rows are those of the manifests' split val, and all rows of unseen sources: those that the network was not trained on.
`--expressions` gives a network without visible expressions a linear head of them first, from rows of the split train.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from facial_attributes_training.data.crops import CropReader, normalised
from facial_attributes_training.data.datasets import Crops
from facial_attributes_training.data.expressions import expression_targets
from facial_attributes_training.data.manifest import Manifest, read_manifests
from facial_attributes_training.fit.head_start import solve_expression_head
from facial_attributes_training.fit.run_data import RunData
from facial_attributes_training.measure.readout import Readout, ReadoutRows, fit_readout, held_out
from numpy.typing import NDArray
from scipy.special import log_softmax
from torch import Tensor

from facial_attributes_ros.attributes import EMOTION, LABELS, MISSING
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.checkpoint import load_tensors, save_model
from facial_attributes_ros.models.expression import EXPRESSION, EXPRESSIONS
from facial_attributes_ros.models.heads import build_heads
from facial_attributes_ros.models.multitask import MultiTaskModel
from facial_attributes_ros.models.registry import load_model, model_folder
from facial_attributes_ros.models.spec import CROPS, ModelSpec

BATCH = 64
EXPRESSION_ROWS = 2200
"""Training rows that a head of expressions is solved from."""
NEUTRAL, SAD = LABELS[EMOTION].index("neutral"), LABELS[EMOTION].index("sad")
FEWEST = 5
"""Rows of a class from which on it counts in a balanced accuracy."""


def main() -> int:
    """Fit, print the table and write the copy; return 0, or 2 after a mistake, which is one sentence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name or folder of the model")
    parser.add_argument("--manifest", type=Path, nargs="+", required=True, metavar="CSV")
    parser.add_argument(
        "--unseen", action="append", default=[], help="source that the network was not trained on, or several: a,b"
    )
    parser.add_argument("--crop", choices=CROPS, help="kind of the crop, instead of the model's")
    parser.add_argument("--crop-margin", type=float, help="margin of the crop, instead of the model's")
    parser.add_argument("--expressions", type=Path, help="the teacher's .npz file, to solve a head of expressions from")
    parser.add_argument("--pixels-only", action="store_true", help="the last layer does not read the expressions")
    parser.add_argument("--rows", type=int, default=1500, help="of a source at most (default: %(default)s)")
    parser.add_argument(
        "--outputs", type=Path, help="keep what the network gives in this .npz file, or take it from it"
    )
    parser.add_argument("--out", type=Path, help="folder of the copy; without it only the table is printed")
    args = parser.parse_args()
    try:
        _run(args)
    except UserError as error:
        sys.stderr.write(f"readout: {error}\n")
        return 2
    return 0


def _run(args: argparse.Namespace) -> None:
    together = [tuple(text.split(",")) for text in args.unseen]
    unseen = {source for names in together for source in names}
    network, spec = load_model(args.model)
    network.readout = None
    margin = spec.crop_margin if args.crop_margin is None else args.crop_margin
    spec = replace(spec, crop=args.crop or spec.crop, crop_margin=margin)
    rows_of = read_manifests(args.manifest)
    if args.expressions:
        _add_expressions(network, spec, rows_of.split("train"), args.expressions)
        spec = replace(spec, expressions=EXPRESSIONS)
    manifest = _chosen(rows_of, unseen, args.rows)
    logits, expressions = _outputs(network, spec, manifest, args.outputs)
    read = expressions[:, :0] if args.pixels_only else expressions
    rows = ReadoutRows(
        log_softmax(logits.astype(np.float64), axis=1),
        read.astype(np.float64),
        manifest.labels[EMOTION],
        _sources(manifest),
        np.isin(manifest.sources, list(unseen)),
    )
    readout = fit_readout(rows, together)
    ways = {"as it is": rows.log_probabilities, "left out": held_out(rows, together), "fitted": readout(rows)}
    for line in _table(rows, ways):
        sys.stdout.write(f"{line}\n")
    if args.out:
        _write(args.model, args.out, spec, network, readout)


def _add_expressions(network: MultiTaskModel, spec: ModelSpec, manifest: Manifest, teacher: Path) -> None:
    """Give a network a head of visible expressions that is solved for on training rows; nothing else changes."""
    network.heads[EXPRESSION] = build_heads(network.feature_dim, (), expression=True)[EXPRESSION]
    targets = expression_targets(teacher, manifest.paths.tolist())
    inputs = Crops(CropReader(manifest, spec.image_size, spec.crop_margin, kind=spec.crop))
    samples = RunData(manifest, np.ones(len(manifest)), inputs)

    def forward(crops: Tensor, outputs: Sequence[str]) -> dict[str, Tensor]:
        return dict(network(normalised(crops, spec.mean, spec.std), outputs))

    solve_expression_head(network, forward, samples, targets, EXPRESSION_ROWS)


def _chosen(manifest: Manifest, unseen: set[str], most: int) -> Manifest:
    """Return the rows with an emotion that the network was not trained on, a number of each source, spread evenly."""
    labelled = manifest.labels[EMOTION] != MISSING
    manifest = manifest.take(labelled & ((manifest.splits == "val") | np.isin(manifest.sources, list(unseen))))
    kept = np.zeros(len(manifest), np.bool_)
    for source in np.unique(_sources(manifest)):
        rows = np.flatnonzero(_sources(manifest) == source)
        kept[rows[np.unique(np.linspace(0, len(rows) - 1, most).round().astype(int))]] = True
    return manifest.take(kept)


def _sources(manifest: Manifest) -> NDArray[np.str_]:
    """Return str (rows,): the source, with the origin of its images where it has several."""
    origins = manifest.extra.get("origin", np.full(len(manifest), ""))
    named = zip(manifest.sources.tolist(), origins.tolist(), strict=True)
    return np.array([f"{source} from {origin}" if origin else source for source, origin in named], np.str_)


@torch.inference_mode()
def _outputs(
    network: MultiTaskModel, spec: ModelSpec, manifest: Manifest, file: Path | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the emotion head's logits and the expressions (no columns without that head) of every row."""
    names = [EMOTION, *([EXPRESSION] if spec.expressions else [])]
    if file is not None and file.is_file():
        with np.load(file) as kept:
            if kept["paths"].tolist() != manifest.paths.tolist():
                raise UserError(f"{file} holds other rows; remove it.")
            found = [kept[name] for name in names]
    else:
        reader = CropReader(manifest, spec.image_size, spec.crop_margin, kind=spec.crop)
        parts = []
        for start in range(0, len(manifest), BATCH):
            crops = torch.stack([reader.crop(row) for row in range(start, min(start + BATCH, len(manifest)))])
            parts.append(network(normalised(crops, spec.mean, spec.std), names))
        found = [torch.cat([part[name] for part in parts]).numpy() for name in names]
        if file is not None:
            np.savez(file, paths=manifest.paths, **dict(zip(names, found, strict=True)))
    return found[0], found[1] if len(found) > 1 else np.empty((len(manifest), 0), np.float32)


def _table(rows: ReadoutRows, ways: dict[str, NDArray[np.float64]]) -> Iterator[str]:
    """Yield a table in Markdown: every source, before and after."""
    yield "| source | rows | last layer | balanced accuracy | neutral recall | neutral predicted as sad |"
    yield "|---|---|---|---|---|---|"
    every = {"all unseen": rows.unseen} | {source: rows.sources == source for source in np.unique(rows.sources)}
    for source, chosen in every.items():
        if not chosen.any():
            continue
        truth = rows.labels[chosen]
        for name, logits in ways.items():
            found = logits[chosen].argmax(axis=1)
            recalls = [np.mean(found[truth == c] == c) for c in np.unique(truth) if (truth == c).sum() >= FEWEST]
            neutral = found[truth == NEUTRAL]
            percent = [f"{100 * np.mean(neutral == c):.0f}" if len(neutral) else "" for c in (NEUTRAL, SAD)]
            yield f"| {source} | {chosen.sum()} | {name} | {100 * np.mean(recalls):.1f} | {' | '.join(percent)} |"


def _write(model: str, out: Path, spec: ModelSpec, network: MultiTaskModel, readout: Readout) -> None:
    """Write a copy of the model with the last layer; its temperature of emotion is 1 from now on."""
    found = load_tensors(model_folder(model))
    tensors = {name: value for name, value in found.items() if not name.startswith("readout.")}
    tensors["readout.pixels.weight"] = torch.from_numpy(readout.pixels).float()
    tensors["readout.pixels.bias"] = torch.from_numpy(readout.bias).float()
    if spec.expressions:
        head = network.heads[EXPRESSION].state_dict()
        tensors |= {f"heads.{EXPRESSION}.{name}": value for name, value in head.items()}
        weight = torch.zeros(len(LABELS[EMOTION]), len(spec.expressions))
        weight[:, : readout.expression.shape[1]] = torch.from_numpy(readout.expression)
        tensors["readout.expression.weight"] = weight
    spec = replace(spec, readout=True, temperatures=spec.temperatures | {EMOTION: 1.0})
    save_model(out, spec, tensors, half=False)
    sys.stdout.write(f"{out} is written; calibrate it: facial-attributes evaluate --calibrate --save-calibration ...\n")


if __name__ == "__main__":
    sys.exit(main())
