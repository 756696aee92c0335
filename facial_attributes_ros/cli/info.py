"""`facial-attributes info`: what a model and each adaptation of it cost, counted without any weights."""

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facial_attributes_ros.attributes import AGE, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones.architecture import NAMED_MODELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facial_attributes_ros.models.counts import Counts
    from facial_attributes_ros.models.spec import ModelSpec

HELP = "a model's version, hash, origin and licence; parameters, operations and checkpoint size of its adaptations"
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
        help="zero-shot, lp, ft-K, lora, lora-plain, lora-reference, mtlora or full; every rung if left out",
    )
    parser.add_argument("--tasks", nargs="+", choices=TASKS, metavar="TASK", help="heads to count, all by default")
    parser.add_argument("--rank", type=int, metavar="R", help="rank of the low-rank matrices instead of 64")
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="side of the input, if not the model's own")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print the counts and return the exit code."""
    from facial_attributes_ros.models.counts import ladder

    if args.rank is not None and args.rank < 1:
        raise UserError(f"a rank is a whole number from 1 on, not {args.rank}.")
    backbone, network, own_tasks = _network(args.model)
    network["image_size"] = args.image_size or network["image_size"]
    tasks = args.tasks or own_tasks
    if args.adaptation is None:
        rows = ladder(backbone, tasks=tasks, rank=args.rank, **network)
    else:
        rows = _one_adaptation(backbone, args.adaptation, args.rank, tasks, network)
    spec = _description(args.model)
    if args.json:
        document: dict[str, Any] = {"model": args.model, "backbone": backbone, "rungs": [row.to_dict() for row in rows]}
        if spec is not None:
            document["papers"] = _papers(spec)
        print(json.dumps(document, indent=2))
    else:
        if spec is not None:
            _print_papers(spec)
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


def _papers(spec: "ModelSpec") -> dict[str, Any]:
    """Return where a model comes from, what it may be used for, and how it is calibrated, as plain data for JSON."""
    names = ("name", "version", "sha256", "date", "parent", "licence", "samples", "commands")
    known = spec.to_json()
    calibration = ("temperatures", "thresholds", "uncalibrated", "untrained_labels", "calibration")
    return {name: known[name] for name in (*names, *calibration)}


def _print_papers(spec: "ModelSpec") -> None:
    parent, licence = spec.parent, spec.licence
    made_from = f"{parent.name} {parent.version} ({(parent.sha256 or 'unknown hash')[:12]})" if parent else "not known"
    lines = {
        "date": spec.date or "not known",
        "made from": made_from,
        "trained on": ", ".join(f"{rows:,} rows of {name}" for name, rows in spec.samples.items()) or "not known",
        "licence": licence.spdx,
        "commercial use": licence.commercial_use,
        "terms of": ", ".join(licence.sources) or "not known",
        "in words": licence.text or "nothing stated",
        "named from": ", ".join(_named_from(spec, task) for task in spec.tasks),
        "never trained": "; ".join(f"{task}: {', '.join(each)}" for task, each in spec.untrained_labels.items())
        or "no label",
    }
    print(spec.title)
    for name, text in lines.items():
        if text:
            print(f"  {name:<15} {text}")
    for command in spec.commands:
        print(f"  {'command':<15} {command}")
    print()


def _named_from(spec: "ModelSpec", task: str) -> str:
    if task in spec.uncalibrated:
        return f"{task} never (not calibrated)"
    return f"{task} {spec.thresholds[task]:g}"


def _network(model: str) -> "tuple[str, dict[str, Any], Sequence[str] | None]":
    """Return the backbone, what else `counts.count` takes of the network, and the tasks of a model folder."""
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
        raise UserError(f"{name} has no low-rank matrices, so --rank says nothing of it: leave it out.")
    default = [(AGE,), TASKS] if adaptation.name in SINGLE_HEAD else [TASKS]
    heads = [tuple(tasks)] if tasks else default
    return [count(backbone, with_rank(adaptation, rank), each, **network) for each in heads]


def _print_table(model: str, backbone: str, rows: "list[Counts]") -> None:
    print(f"{model}: {backbone}")
    header = ("adaptation", "heads", "parameters", "trained", "share", "merged", "GFLOPs", "+ attention", "checkpoint")
    cells = [
        (
            row.adaptation,
            "+".join(row.tasks) if len(row.tasks) < len(TASKS) else "all",
            f"{row.parameters:,}",
            f"{row.trained:,}",
            f"{row.share:.2f} %",
            f"{row.merged:,}",
            f"{row.gflops_linear:.2f}",
            f"{row.gflops_attention:.2f}",
            f"{row.checkpoint_bytes / 1e6:.1f} MB",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in (header, *cells)) for column in range(len(header))]
    for line in (header, *cells):
        left = [cell.ljust(width) for cell, width in zip(line[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(line[2:], widths[2:], strict=True)]
        print("  ".join(left + right))
    print(_NOTE)
