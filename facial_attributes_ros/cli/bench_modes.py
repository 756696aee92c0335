"""The modes of `facial-attributes bench`: each measures, prints rows as they come, and returns its report."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facial_attributes_ros.bench.report import Report, last_memory
from facial_attributes_ros.cli import bench_tables as tables
from facial_attributes_ros.cli.common import command_line, warn
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.progress import ProgressBar

if TYPE_CHECKING:
    from facial_attributes_ros.bench.frames import Portrait
    from facial_attributes_ros.engines.base import Engine


def stages(args: argparse.Namespace) -> Report:
    """Time the stages of a frame in turns."""
    from facial_attributes_ros.bench.backbone import bare_backbone
    from facial_attributes_ros.bench.stages import bench_stages, estimate_to_backbone
    from facial_attributes_ros.detection.load import load_detector
    from facial_attributes_ros.engines.load import load_engine
    from facial_attributes_ros.models.registry import model_folder

    detector = load_detector(_detector(args))
    engine = load_engine(args.model, args.device, args.engine, args.threads)
    engine.warm_up(args.faces)
    bare = bare_backbone(model_folder(args.model), engine, args.threads)
    timings = bench_stages(engine, detector, bare, args.faces, args.seconds or 6.0)
    report = _about(**_model(engine), engine=engine.name, device=engine.device)
    report |= {
        "timings": [asdict(timing) for timing in timings],
        "estimate_per_backbone": estimate_to_backbone(timings),
    }
    if not args.json:
        tables.print_stages(report)
    return report


def end_to_end(args: argparse.Namespace) -> Report:
    """Run a camera and the perception node; beside each run the bare detector and backbone, and our own overhead."""
    from facial_attributes_ros.bench.backbone import bare_backbone
    from facial_attributes_ros.bench.frames import frame_with_faces
    from facial_attributes_ros.bench.graph import live_graph
    from facial_attributes_ros.bench.overhead import own_overhead
    from facial_attributes_ros.bench.stages import bench_bare
    from facial_attributes_ros.detection.load import load_detector
    from facial_attributes_ros.engines.load import load_engine
    from facial_attributes_ros.models.registry import model_folder

    # An engine that was never used is built here, which must not be measured.
    detector, engine = load_detector(_detector(args)), load_engine(args.model, args.device, args.engine)
    bare, seconds = bare_backbone(model_folder(args.model), engine), args.seconds or 20.0
    report = _about(**_model(engine), engine=engine.name, rate=args.rate, seconds=seconds, faces={})
    with ProgressBar("s", len(args.faces) * args.runs * seconds) as bar:
        for count in args.faces:
            frame = frame_with_faces(count)
            own = own_overhead(engine, detector, frame, count, min(seconds, 10.0))
            runs = []
            for _ in range(args.runs):
                timings = bench_bare(detector, bare, frame, count, min(seconds / 10, 5.0))
                with live_graph(args.model, engine.name, _detector(args), engine.device) as graph:
                    measured = asdict(graph.measure(frame, args.rate, seconds, bar.advance))
                runs.append(measured | {stage: timing.median for stage, timing in timings.items()})
            report["faces"][count] = {"median": _median(runs), "overhead": asdict(own), "runs": runs}
    if not args.json:
        tables.print_end_to_end(report)
    if args.out:
        from facial_attributes_ros.bench.process_usage import Memory

        _plot(args.out / "memory.png", "memory_figure", [Memory(**row) for row in last_memory(report)])
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
    with ProgressBar("s", len(points) * seconds) as bar, graph as live:
        for point, result in bench_load(live, points, seconds, bar.advance):
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
    from facial_attributes_ros.bench.detection import SIZES, bench_detection
    from facial_attributes_ros.bench.frames import sample_portraits, scenes

    portraits = _portraits(args.manifest, args.samples) if args.manifest else sample_portraits()
    names, sizes = args.detector or ["yunet:onnx", "yunet:opencv"], args.sizes or SIZES
    frames = list(scenes(portraits))
    findings = []
    if not args.json:
        tables.print_detection_header(sorted({scene.side for scene in frames}))
    with ProgressBar("settings", len(names) * len(sizes)) as bar:
        for finding in bench_detection(names, frames, sizes, args.seconds or 20.0):
            findings.append(finding)
            if not args.json:
                with bar.aside():
                    tables.print_detection_row(asdict(finding))
            bar.advance()
    if all(finding.note for finding in findings):
        raise UserError(f"No detector could be measured: {findings[0].note}")
    if args.out:
        _plot(args.out / "detection.png", "detection_figure", findings)
    return _about(portraits=len(portraits), frames=len(frames), rows=[asdict(finding) for finding in findings])


def training(args: argparse.Namespace) -> Report:
    """Compare the training loop with a bare one."""
    from facial_attributes_training.recipe.file import read_recipe

    from facial_attributes_ros.bench.training import bench_training

    recipe, seconds = read_recipe(args.training, args.overrides), args.seconds or 120.0
    with ProgressBar("s", seconds) as bar:
        throughput = bench_training(recipe, seconds, bar.advance)
    report = _about(recipe=recipe.name, precision=recipe.precision, workers=recipe.workers, **asdict(throughput))
    if not args.json:
        tables.print_training(report)
    return report


def ladder(args: argparse.Namespace) -> Report:
    """Run and train every adaptation with random weights."""
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
    with ProgressBar("rows", len(steps)) as bar:
        for step, cost in bench_ladder(backbone, steps, device, precision, args.seconds or 2.0, image_size):
            report["rows"].append(asdict(step) | asdict(cost))
            if not args.json:
                with bar.aside():
                    tables.print_ladder_row(report["rows"][-1], report["matrix_product"])
            bar.note(f"{step.phase} {step.adaptation} {step.batch}")
            bar.advance()
    return report


def _plot(path: Path, name: str, values: Sequence[Any]) -> None:
    """Write a figure of `bench.plots`; without matplotlib the report is kept all the same."""
    from facial_attributes_ros.bench import plots

    try:
        plots.save(getattr(plots, name)(values), path)
    except ModuleNotFoundError as error:
        warn(f"{path.name} is not drawn, since {error.name} is missing: pip install matplotlib.")


def _model(engine: "Engine") -> dict[str, str]:
    """Return name, version and short hash of the model that is measured."""
    spec = engine.spec
    return {"model": spec.name, "model_version": spec.version, "model_hash": spec.short_hash}


def _about(**more: Any) -> Report:
    from facial_attributes_ros.bench.timing import machine

    return {"command": command_line(), "machine": machine(), **more}


def _detector(args: argparse.Namespace) -> str:
    return args.detector[0] if args.detector else "yunet"


def _median(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the median of every number that all runs have."""
    names = [name for name, value in runs[0].items() if isinstance(value, (int, float))]
    return {name: float(np.median([run[name] for run in runs])) for name in names}


def _load_row(point: Any, result: Any) -> dict[str, Any]:
    row = asdict(point)
    if isinstance(result, str):
        return row | dict.fromkeys(("messages_per_second", "detected_faces", *_FIGURES)) | {"note": result}
    figures = {name: getattr(result, name) for name in _FIGURES}
    return row | {"messages_per_second": result.rate, "detected_faces": result.faces} | figures | {"note": ""}


_FIGURES = ("p50", "p90", "p99", "cores")
"""Of a point under load, by the names of `EndToEnd`."""


def _portraits(manifests: Sequence[Path], count: int) -> "list[Portrait]":
    """Return some images of a manifest with their face boxes."""
    from facial_attributes_training.data.archive import ImageError, ImageReader
    from facial_attributes_training.data.manifest import read_manifests

    from facial_attributes_ros.bench.frames import Portrait

    manifest = read_manifests(list(manifests))
    manifest = manifest.take(manifest.has_box)
    manifest = manifest.take(np.sort(np.random.default_rng(0).permutation(len(manifest))[:count]))
    reader = ImageReader()
    reader.index(manifest.paths)
    portraits = []
    for path, box in zip(manifest.paths.tolist(), manifest.boxes, strict=True):
        try:
            portraits.append(Portrait(reader.image(path), box))
        except ImageError as error:
            print(f"skipped: {error}", file=sys.stderr)
    if not portraits:
        raise UserError("The manifest has no readable images with face boxes.")
    return portraits
