"""The modes of `facial-attributes bench`: each measures, prints rows as they come, and returns its report."""

import argparse
import csv
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import Self

from facial_attributes_ros.cli import bench_tables as tables
from facial_attributes_ros.errors import UserError

if TYPE_CHECKING:
    from facial_attributes_ros.bench.detection import Portrait
    from facial_attributes_ros.engines.base import Engine

Report = dict[str, Any]


def stages(args: argparse.Namespace) -> Report:
    """Time the stages of a frame in turns."""
    from facial_attributes_ros.bench.stages import bare_backbone, bench_stages, overhead
    from facial_attributes_ros.detection.load import load_detector
    from facial_attributes_ros.engines.load import load_engine
    from facial_attributes_ros.models.registry import model_folder

    detector = load_detector(_detector(args))
    engine = load_engine(args.model, args.device, args.engine, args.threads)
    engine.warm_up(args.faces)
    bare = bare_backbone(model_folder(args.model), engine, args.threads)
    timings = bench_stages(engine, detector, bare, args.faces, args.seconds or 6.0)
    report = _about(**_model(engine), engine=engine.name, device=engine.device)
    report |= {"timings": [asdict(timing) for timing in timings], "estimate_per_backbone": overhead(timings)}
    if not args.json:
        tables.print_stages(report)
    return report


def end_to_end(args: argparse.Namespace) -> Report:
    """Run a camera and the perception node; beside each run the bare detector and backbone, and our own overhead."""
    from facial_attributes_ros.bench.graph import live_graph, own_overhead
    from facial_attributes_ros.bench.stages import bare_backbone, bench_bare, frame_with_faces
    from facial_attributes_ros.detection.load import load_detector
    from facial_attributes_ros.engines.load import load_engine
    from facial_attributes_ros.models.registry import model_folder

    # Loading it here builds it where it has never been used; that is not to be measured.
    detector, engine = load_detector(_detector(args)), load_engine(args.model, args.device, args.engine)
    bare, seconds = bare_backbone(model_folder(args.model), engine), args.seconds or 20.0
    report = _about(**_model(engine), engine=engine.name, rate=args.rate, seconds=seconds, faces={})
    with _Bar(len(args.faces) * args.runs * seconds) as bar:
        for count in args.faces:
            frame = frame_with_faces(count)
            own = own_overhead(engine, detector, frame, count, min(seconds, 10.0))
            runs = []
            for _ in range(args.runs):
                timings = bench_bare(detector, bare, frame, count, min(seconds / 10, 5.0))
                with live_graph(args.model, engine.name, _detector(args), engine.device) as graph:
                    measured = asdict(graph.measure(frame, args.rate, seconds, bar.tell))
                runs.append(measured | {stage: timing.median for stage, timing in timings.items()})
            report["faces"][count] = {"median": _median(runs), "overhead": asdict(own), "runs": runs}
    if not args.json:
        tables.print_end_to_end(report)
    return report


def load(args: argparse.Namespace) -> Report:
    """Measure with more faces, larger frames and higher rates."""
    from facial_attributes_ros.bench.graph import live_graph
    from facial_attributes_ros.bench.load import AXES, bench_load, limits, load_points
    from facial_attributes_ros.engines.load import load_engine

    axes = args.axes or tuple(AXES)
    if set(axes) - set(AXES):
        raise UserError(f"--axes are of {', '.join(AXES)}, not {', '.join(sorted(set(axes) - set(AXES)))}.")
    engine, points, seconds = load_engine(args.model, args.device, args.engine), load_points(axes), args.seconds or 10.0
    results = []
    if not args.json:
        tables.print_load_header()
    graph = live_graph(args.model, engine.name, _detector(args), engine.device)
    with _Bar(len(points) * seconds) as bar, graph as live:
        for point, result in bench_load(live, points, seconds, bar.tell):
            results.append((point, result))
            if not args.json:
                with bar.aside():
                    tables.print_load_row(_load_row(point, result))
    report = _about(**_model(engine), engine=engine.name, seconds=seconds)
    report |= {"rows": [_load_row(*each) for each in results], "keeps_up_to": limits(results)}
    if not args.json:
        tables.print_limits(report["keeps_up_to"])
    if args.out:
        _plot(args.out / "load.png", "load_figure", results)
    return report


def detection(args: argparse.Namespace) -> Report:
    """Compare detectors."""
    from facial_attributes_ros.bench.detection import SIZES, bench_detection, sample_portraits, scenes

    portraits = _portraits(args.manifest, args.rows) if args.manifest else sample_portraits()
    names = args.detector or ["yunet:onnx", "yunet:opencv"]
    frames = list(scenes(portraits))
    findings = []
    if not args.json:
        tables.print_detection_header(sorted({scene.side for scene in frames}))
    for finding in bench_detection(names, frames, args.sizes or SIZES, args.seconds or 20.0):
        findings.append(finding)
        if not args.json:
            tables.print_detection_row(asdict(finding))
    if all(finding.note for finding in findings):
        raise UserError(f"No detector could be measured: {findings[0].note}")
    if args.out:
        _plot(args.out / "detection.png", "detection_figure", findings)
    return _about(portraits=len(portraits), frames=len(frames), rows=[asdict(finding) for finding in findings])


def training(args: argparse.Namespace) -> Report:
    """Compare the training loop with a bare one."""
    try:
        from facial_attributes_training.recipe.file import read_recipe
    except ModuleNotFoundError as error:
        raise UserError(
            f"--training needs the training extra ({error.name} is missing): pip install '.[train]'."
        ) from error
    from facial_attributes_ros.bench.training import bench_training

    recipe, seconds = read_recipe(args.training, args.overrides), args.seconds or 120.0
    with _Bar(seconds) as bar:
        throughput = bench_training(recipe, seconds, bar.tell)
    report = _about(recipe=recipe.name, precision=recipe.precision, workers=recipe.workers, **asdict(throughput))
    if not args.json:
        tables.print_training(report)
    return report


def ladder(args: argparse.Namespace) -> Report:
    """Run and train every adaptation with random weights."""
    from tqdm import tqdm

    from facial_attributes_ros.bench.ladder import bench_ladder, device_name, ladder_steps, matrix_product
    from facial_attributes_ros.engines.load import resolve_device
    from facial_attributes_ros.models.backbones.architecture import NAMED_MODELS

    device = resolve_device(args.device, "torch")
    precision = args.precision or ("float32" if device == "cpu" else "bfloat16")
    backbone, image_size = NAMED_MODELS.get(args.ladder_model, (args.ladder_model, None))
    steps = ladder_steps(args.ladder_batches)
    report = _about(device=device_name(device), backbone=backbone, precision=precision, rows=[])
    report["matrix_product"] = matrix_product(device, precision)
    if not args.json:
        tables.print_ladder_header(report)
    with tqdm(total=len(steps), unit=" rows", file=sys.stderr, dynamic_ncols=True) as bar:
        for step, cost in bench_ladder(backbone, steps, device, precision, args.seconds or 2.0, image_size):
            report["rows"].append(asdict(step) | asdict(cost))
            if not args.json:
                with bar.external_write_mode(file=sys.stdout):
                    tables.print_ladder_row(report["rows"][-1], report["matrix_product"])
            bar.set_postfix_str(f"{step.phase} {step.rung} {step.batch}", refresh=False)
            bar.update()
    return report


def keep(folder: Path, name: str, report: Report) -> Path:
    """Write a report as JSON, and its rows or the memory of its last run, if it has such, as CSV; return the JSON."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    rows = report.get("rows") or report.get("timings")
    if name == "end_to_end":
        from facial_attributes_ros.bench.graph import Memory

        rows = [entry["runs"][-1]["memory"] for entry in report["faces"].values()][-1]
        _plot(folder / "memory.png", "memory_figure", [Memory(**row) for row in rows])
    if rows:
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [key for key, value in rows[0].items() if not isinstance(value, dict)])
            writer.writeheader()
            writer.writerows({key: row[key] for key in writer.fieldnames} for row in rows)
    return path


def _plot(path: Path, name: str, values: Sequence[Any]) -> None:
    """Draw a figure of `bench_plots`; without matplotlib the report is kept all the same."""
    from facial_attributes_ros.bench import plots as bench_plots

    try:
        bench_plots.save(getattr(bench_plots, name)(values), path)
    except ModuleNotFoundError as error:
        print(f"{path.name} is not drawn, since {error.name} is missing: pip install matplotlib.", file=sys.stderr)


def _model(engine: "Engine") -> dict[str, str]:
    """Return name, version and short hash of the model that is measured."""
    spec = engine.spec
    return {"model": spec.name, "model_version": spec.version, "model_hash": spec.short_hash}


def _about(**more: Any) -> Report:
    from facial_attributes_ros.bench.stages import machine

    return {"command": shlex.join(["facial-attributes", *sys.argv[1:]]), "machine": machine(), **more}


def _detector(args: argparse.Namespace) -> str:
    return args.detector[0] if args.detector else "yunet"


def _median(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the median of every number that all runs have."""
    names = [name for name, value in runs[0].items() if isinstance(value, (int, float))]
    return {name: float(np.median([run[name] for run in runs])) for name in names}


def _load_row(point: Any, result: Any) -> dict[str, Any]:
    row = asdict(point)
    if isinstance(result, str):
        return row | dict.fromkeys(("arrays_per_second", "found", "p50", "p90", "p99", "cpu")) | {"note": result}
    figures = {name: getattr(result, name) for name in ("p50", "p90", "p99", "cpu")}
    return row | {"arrays_per_second": result.rate, "found": result.faces} | figures | {"note": ""}


def _portraits(manifests: Sequence[Path], count: int) -> "list[Portrait]":
    """Return some pictures of a manifest with their face boxes."""
    try:
        from facial_attributes_training.data.archive import PictureError, PictureReader
        from facial_attributes_training.data.manifest import read_manifests
    except ModuleNotFoundError as error:
        raise UserError(
            f"--manifest needs the training extra ({error.name} is missing): pip install '.[train]'."
        ) from error
    from facial_attributes_ros.bench.detection import Portrait

    manifest = read_manifests(list(manifests))
    manifest = manifest.take(manifest.has_box)
    manifest = manifest.take(np.sort(np.random.default_rng(0).permutation(len(manifest))[:count]))
    reader = PictureReader()
    reader.index(manifest.paths)
    portraits = []
    for path, box in zip(manifest.paths.tolist(), manifest.boxes, strict=True):
        try:
            portraits.append(Portrait(reader.picture(path), box))
        except PictureError as error:
            print(f"passed over: {error}", file=sys.stderr)
    if not portraits:
        raise UserError("The manifest has no readable pictures with face boxes.")
    return portraits


class _Bar:
    """Shows how much of so many seconds has passed."""

    def __init__(self, seconds: float) -> None:
        from tqdm import tqdm

        shape = "{percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s measured, {remaining} left"
        self._bar = tqdm(total=seconds, bar_format=shape, file=sys.stderr, dynamic_ncols=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def tell(self, more: float) -> None:
        """Show that so many more seconds have passed; the last second of a run seldom ends with it."""
        self._bar.update(min(more, max(self._bar.total - self._bar.n, 0.0)))

    def aside(self) -> AbstractContextManager[None]:
        """Return a context in which a line may be printed."""
        aside: AbstractContextManager[None] = self._bar.external_write_mode(file=sys.stdout)
        return aside
