"""`facial-attributes info`: a model's provenance, and what each of its adaptations costs, counted without weights."""

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facial_attributes_ros.attributes import AGE, GENDER, TASKS
from facial_attributes_ros.cli.common import print_table, whole_number
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones.architecture import NAMED_MODELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facial_attributes_ros.models.counts import Counts
    from facial_attributes_ros.models.spec import ModelSpec

HELP = "a model's version, hash, provenance and licence; parameters, operations and checkpoint size of adaptations"
_LOGGER = logging.getLogger(__name__)

_NOTE = (
    "GFLOPs: 10^9 operations for one face and all its tasks, adapters merged, 2 per multiply-add, in linear and "
    "convolution layers only; + attention: with the two products inside attention. Zero-shot encodes one prompt per "
    "class too. Checkpoint: what training changes, in float32."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "--model",
        default="small",
        metavar="NAME",
        help=f"{', '.join(NAMED_MODELS)}, a model folder, or a backbone's name such as PE-Core-B-16 or timm:NAME",
    )
    parser.add_argument(
        "--adaptation",
        metavar="NAME",
        help="zero-shot, lp, ft-K, lora, lora-plain, lora-reference, mtlora or full; all if not given",
    )
    parser.add_argument("--tasks", nargs="+", choices=TASKS, metavar="TASK", help="heads to count (default: all)")
    parser.add_argument("--rank", type=whole_number, metavar="R", help="rank of the low-rank matrices (default: 64)")
    parser.add_argument(
        "--image-size", type=whole_number, metavar="PIXELS", help="side of the input (default: the model's own)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print the counts and return the exit code."""
    from facial_attributes_ros.models.counts import ladder

    backbone, network, own_tasks = _network(args.model)
    network["image_size"] = args.image_size or network["image_size"]
    tasks = args.tasks or own_tasks
    if args.adaptation is None:
        rows = ladder(backbone, tasks=tasks, rank=args.rank, **network)
    else:
        rows = _one_adaptation(backbone, args.adaptation, args.rank, tasks, network)
    spec = _description(args.model)
    if args.json:
        adaptations = [row.to_dict() for row in rows]
        document: dict[str, Any] = {"model": args.model, "backbone": backbone, "adaptations": adaptations}
        if spec is not None:
            document["provenance"] = _provenance(spec)
        print(json.dumps(document, indent=2))
    else:
        if spec is not None:
            _print_provenance(spec)
        _print_table(args.model, backbone, rows)
    return 0


def _description(model: str) -> "ModelSpec | None":
    """Return the description of a model that is here, with its hash; None for a backbone or a name without weights."""
    from facial_attributes_ros.models.registry import NAMES, model_folder
    from facial_attributes_ros.models.spec import ModelSpec

    if model in NAMES:
        try:
            return ModelSpec.identified(model_folder(model))
        except UserError as error:
            _LOGGER.debug("%s", error)
            return None
    return ModelSpec.identified(Path(model)) if Path(model).is_dir() else None


def _provenance(spec: "ModelSpec") -> dict[str, Any]:
    """Return a model's version, parent, data, licence and calibration as plain data for JSON."""
    names = ("name", "version", "sha256", "date", "parent", "licence", "samples", "commands")
    known = spec.to_json()
    calibration = ("temperatures", "thresholds", "uncalibrated", "untrained_labels", "calibration")
    ages = ("gender_thresholds", "age_spread", "age_certainty")
    return {name: known[name] for name in (*names, *calibration, *ages)}


def _print_provenance(spec: "ModelSpec") -> None:
    parent, licence = spec.parent, spec.licence
    derived = f"{parent.name} {parent.version} ({(parent.sha256 or 'unknown hash')[:12]})" if parent else "not known"
    samples = ", ".join(f"{count:,} samples of {name}" for name, count in spec.samples.items())
    untrained = "; ".join(f"{task}: {', '.join(labels)}" for task, labels in spec.untrained_labels.items())
    lines = {
        "date": spec.date or "not known",
        "derived from": derived,
        "trained on": samples or "not known",
        "licence": licence.spdx,
        "commercial use": licence.commercial_use,
        "terms of": ", ".join(licence.sources) or "not known",
        "licence text": licence.text or "not stated",
        "thresholds": ", ".join(_threshold(spec, task) for task in spec.tasks),
        "untrained": untrained or "no label",
    }
    print(spec.title)
    for name, text in lines.items():
        print(f"  {name:<15} {text}")
    for command in spec.commands:
        print(f"  {'command':<15} {command}")
    print()


def _threshold(spec: "ModelSpec", task: str) -> str:
    if task in spec.uncalibrated:
        return f"{task} none (not calibrated)"
    by_age = ""
    if task == GENDER and spec.gender_thresholds:
        by_age = f" ({', '.join(f'{band} years {value:g}' for band, value in spec.gender_thresholds.items())})"
    return f"{task} {spec.thresholds[task]:g}{by_age}"


def _network(model: str) -> "tuple[str, dict[str, Any], Sequence[str] | None]":
    """Return the backbone, further arguments of `counts.count`, and the tasks of a model folder."""
    if model in NAMED_MODELS:
        backbone, image_size = NAMED_MODELS[model]
        return backbone, {"image_size": image_size}, None
    if Path(model).is_dir():
        from facial_attributes_ros.models.spec import ModelSpec

        spec = ModelSpec.read(Path(model))
        own = {"image_size": spec.image_size, "age_in_years": spec.age_regression is not None}
        return spec.backbone.name, own | spec.backbone.architecture, spec.tasks
    return model, {"image_size": None}, None


def _one_adaptation(
    backbone: str, name: str, rank: int | None, tasks: "Sequence[str] | None", network: dict[str, Any]
) -> "list[Counts]":
    from facial_attributes_ros.models.adaptations.ladder import Adaptation
    from facial_attributes_ros.models.counts import SINGLE_HEAD, count, with_rank

    adaptation = Adaptation.named(name)
    if rank is not None and not adaptation.rank:
        raise UserError(f"{name} has no low-rank matrices: leave out --rank.")
    default = [(AGE,), TASKS] if adaptation.name in SINGLE_HEAD else [TASKS]
    heads = [tuple(tasks)] if tasks else default
    return [count(backbone, with_rank(adaptation, rank), each, **network) for each in heads]


def _print_table(model: str, backbone: str, rows: "list[Counts]") -> None:
    print(f"{model}: {backbone}")
    header = (
        "adaptation",
        "heads",
        "parameters",
        "trained",
        "trained, %",
        "merged",
        "GFLOPs",
        "+ attention",
        "checkpoint",
    )
    cells = [
        (
            row.adaptation,
            "+".join(row.tasks) if len(row.tasks) < len(TASKS) else "all",
            f"{row.parameters:,}",
            f"{row.trained:,}",
            f"{row.trained_percent:.2f}",
            f"{row.merged:,}",
            f"{row.gflops_linear:.2f}",
            f"{row.gflops_attention:.2f}",
            f"{row.checkpoint_bytes / 1e6:.1f} MB",
        )
        for row in rows
    ]
    print_table(header, cells, left=2)
    print(_NOTE)
