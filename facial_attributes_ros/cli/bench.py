"""`facial-attributes bench`: milliseconds of every stage on this machine, or end to end over a live ROS graph."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from facial_attributes_ros.errors import UserError

HELP = "measure detection, crop, model and the whole way of a frame on this machine, or every adaptation"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.add_argument("--model", default="small", help="name or folder of the model (default: %(default)s)")
    parser.add_argument(
        "--detector", default="yunet", help="yunet, scrfd:FILE.onnx or scrfd:PACK (default: %(default)s)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument("--engine", default="auto", help="auto, onnx, onnx-int8 or torch (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads of the model (default: one per core)")
    parser.add_argument("--faces", type=_counts, default=(1, 4, 8), help="numbers of faces (default: 1,4,8)")
    parser.add_argument(
        "--seconds",
        type=float,
        help="to measure per number of faces (default: 6; 20 end to end; 2 per row of the ladder)",
    )
    parser.add_argument(
        "--end-to-end", action="store_true", help="time camera to published array over a live ROS graph"
    )
    parser.add_argument("--rate", type=float, default=30.0, help="frames a second, end to end (default: %(default)g)")
    parser.add_argument(
        "--ladder", action="store_true", help="time running and training every adaptation, with random weights"
    )
    parser.add_argument(
        "--ladder-model", default="pe-l14-336", help="pe-l14-336, small or a backbone's name (default: %(default)s)"
    )
    parser.add_argument(
        "--ladder-batches",
        type=_counts,
        help="batches to run and (from 2 on) to train with (default: 1,4,16,32 to run, 16,64 to train)",
    )
    parser.add_argument(
        "--precision",
        choices=("bfloat16", "float32"),
        help="of the ladder (default: bfloat16 on CUDA, float32 on a CPU)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    if args.ladder and args.end_to_end:
        raise UserError("--ladder and --end-to-end are different measurements: give one of them.")
    report = _ladder(args) if args.ladder else _end_to_end(args) if args.end_to_end else _stages(args)
    if args.json:
        print(json.dumps(report))
    elif args.ladder:
        _print_ladder(report)
    elif args.end_to_end:
        _print_runs(report)
    else:
        _print_stages(report)
    return 0


def _counts(text: str) -> tuple[int, ...]:
    counts = tuple(int(part) for part in text.split(","))
    if not counts or min(counts) < 1:
        raise argparse.ArgumentTypeError("numbers from 1 on, separated by commas")
    return counts


def _stages(args: argparse.Namespace) -> dict[str, Any]:
    from facial_attributes_ros.models.registry import model_folder
    from facial_attributes_ros.runtime.bench import bare_backbone, bench_stages, machine, overhead
    from facial_attributes_ros.runtime.engine import load_engine
    from facial_attributes_ros.vision.detectors import load_detector

    engine = load_engine(args.model, args.device, args.engine, args.threads)
    engine.warm_up(args.faces)
    bare = bare_backbone(model_folder(args.model), engine, args.threads)
    timings = bench_stages(engine, load_detector(args.detector), bare, args.faces, args.seconds or 6.0)
    return {
        "machine": machine(),
        "model": engine.spec.name,
        "engine": engine.name,
        "device": engine.device,
        "timings": [asdict(timing) for timing in timings],
        "estimate_per_backbone": overhead(timings),
    }


def _end_to_end(args: argparse.Namespace) -> dict[str, Any]:
    from facial_attributes_ros.runtime.bench import machine
    from facial_attributes_ros.runtime.bench_ros import bench_end_to_end

    seconds = args.seconds or 20.0
    runs = {
        count: bench_end_to_end(args.model, engine=args.engine, faces=count, rate=args.rate, seconds=seconds)
        for count in args.faces
    }
    report = {count: asdict(result) for count, result in runs.items()}
    return {"machine": machine(), "model": args.model, "engine": args.engine, "rate": args.rate, "runs": report}


def _ladder(args: argparse.Namespace) -> dict[str, Any]:
    from tqdm import tqdm

    from facial_attributes_ros.cli.info import BACKBONES
    from facial_attributes_ros.runtime.bench import machine
    from facial_attributes_ros.runtime.bench_ladder import bench_ladder, device_name, ladder_steps
    from facial_attributes_ros.runtime.engine import _resolve_device

    device = _resolve_device(args.device)
    precision = args.precision or ("float32" if device == "cpu" else "bfloat16")
    backbone, image_size = BACKBONES.get(args.ladder_model, (args.ladder_model, None))
    steps = ladder_steps(args.ladder_batches)
    rows = []
    with tqdm(total=len(steps), unit=" rows", file=sys.stderr, dynamic_ncols=True) as bar:
        for step, cost in bench_ladder(backbone, steps, device, precision, args.seconds or 2.0, image_size):
            rows.append(asdict(step) | asdict(cost))
            bar.set_postfix_str(f"{step.phase} {step.rung} {step.batch}", refresh=False)
            bar.update()
    return {
        "machine": machine(),
        "device": device_name(device),
        "backbone": backbone,
        "precision": precision,
        "rows": rows,
    }


def _print_ladder(report: dict[str, Any]) -> None:
    print(
        f"{report['machine']}; {report['backbone']} with random weights in {report['precision']} on {report['device']}"
    )
    print(f"{'phase':<10}{'rung':<10}{'checkpoints':<13}{'batch':>5}{'median ms':>12}{'faces/s':>10}{'peak MB':>10}")
    for row in report["rows"]:
        checkpoints = "yes" if row["checkpointing"] else "no" if row["phase"] == "training" else ""
        if row["note"]:
            values = f"   {row['note']}"
        else:
            memory = "-" if row["peak_memory"] is None else f"{row['peak_memory']:.0f}"
            values = f"{row['milliseconds']:12.2f}{row['faces_per_second']:10.1f}{memory:>10}"
        print(f"{row['phase']:<10}{row['rung']:<10}{checkpoints:<13}{row['batch']:>5}{values}")


def _print_stages(report: dict[str, Any]) -> None:
    print(f"{report['machine']}; model {report['model']} in {report['engine']} on {report['device']}")
    print(f"{'milliseconds':<14}{'faces':>6}{'median':>9}{'p90':>9}{'least':>9}{'runs':>6}")
    for timing in report["timings"]:
        values = "".join(f"{timing[name]:9.2f}" for name in ("median", "p90", "least"))
        print(f"{timing['stage']:<14}{timing['faces']:>6}{values}{timing['runs']:>6}")
    for faces, ratio in report["estimate_per_backbone"].items():
        print(f"crop, model and softmax of {faces} faces cost {ratio:.2f} times the bare backbone")


def _print_runs(report: dict[str, Any]) -> None:
    print(f"{report['machine']}; model {report['model']}, 640x480 at {report['rate']:g} frames/s")
    for count, run in report["runs"].items():
        print(
            f"{count} faces: {run['rate']:.1f} arrays/s with {run['faces']:.1f} faces, latency p50 {run['p50']:.0f}, "
            f"p90 {run['p90']:.0f}, p99 {run['p99']:.0f} ms; {run['cpu']:.2f} cores, {run['memory']:.0f} MB, "
            f"{run['memory_slope']:+.1f} MB/min"
        )
