"""An ONNX network in parts: one that all tasks have in common, and one for each task.

ONNX Runtime computes the whole graph, even if only some outputs are fetched. Therefore the nodes that serve one task
only form a graph of their own: its head, and with task streams its low-rank matrices. A task that is switched off, or
that no subscriber wants, is then not computed. A graph for each set of tasks would hold the backbone once per set, and
opening it would take a second whenever the set changes; a head opens in milliseconds and stays open.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facial_attributes_ros.engines.onnx_export import INPUT
from facial_attributes_ros.errors import UserError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto


def part_paths(path: Path, tasks: Sequence[str]) -> dict[str, Path]:
    """Return the file of every task's own part, for a network whose shared part is `path`.

    A network of a single task stays in one file: there is nothing to leave out.
    """
    return {task: path.with_suffix(f".{task}.onnx") for task in tasks} if len(tasks) > 1 else {}


def write_parts(whole: Path, path: Path, tasks: Sequence[str]) -> None:
    """Write the parts of a network.

    Args:
        whole: an ONNX file with the input `crops` and one output per task.
        path: where the shared part goes; see `part_paths` for the others.
        tasks: the outputs.

    Raises:
        UserError: the network can't be cut.
    """
    import onnx

    parts = part_paths(path, tasks)
    if not parts:
        whole.rename(path)
        return
    # Ends that a cut makes need types and shapes, which the exporter writes of the network's own ends only.
    model = onnx.shape_inference.infer_shapes(onnx.load(whole))
    cuts = _cuts(model.graph, tasks)
    try:
        onnx.save(_between(model, {INPUT}, set().union(*cuts.values()) - {INPUT}), path)
        for task, names in cuts.items():
            onnx.save(_between(model, names, {task}), parts[task])
    except KeyError as error:
        raise UserError(f"This network can't be cut at {error}: use the engine torch.") from error


def _between(model: "ModelProto", inputs: set[str], outputs: set[str]) -> "ModelProto":
    """Return the network that makes some tensors of a network from others.

    Raises:
        KeyError: the type of one of these tensors is not known.
    """
    from onnx import helper

    graph = model.graph
    needed, nodes = set(outputs), []
    for node in reversed(graph.node):
        if needed & set(node.output) - inputs:
            nodes.append(node)
            needed |= set(node.input)
    known = {entry.name: entry for entry in (*graph.value_info, *graph.input, *graph.output)}
    begins, ends = ([known[name] for name in sorted(names)] for names in (inputs, outputs))
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    part = helper.make_graph(nodes[::-1], graph.name, begins, ends, initializer=weights)
    return helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)


def _cuts(graph: "GraphProto", tasks: Sequence[str]) -> dict[str, set[str]]:
    """Return per task the tensors that its own part takes from the common part.

    Tensors that do not depend on the crops, such as constants, belong to every part that needs them.
    """
    varying = {INPUT}
    for node in graph.node:  # in an order in which they can run
        if varying & set(node.input):
            varying |= set(node.output)
    served: dict[str, set[str]] = {task: {task} for task in tasks}
    for node in reversed(graph.node):
        own = set().union(*(served.get(name, set()) for name in node.output))
        for name in node.input:
            served.setdefault(name, set()).update(own)
    common = {name for name in varying if served.get(name) == set(tasks)} | {INPUT}
    cuts: dict[str, set[str]] = {task: set() for task in tasks}
    for node in graph.node:
        if not common & set(node.output):
            for task in set().union(*(served.get(name, set()) for name in node.output)):
                cuts[task] |= common & set(node.input)
    return cuts


class PartedNetwork:
    """Runs a network that `write_parts` wrote, and of it only the parts of the wanted tasks.

    Args:
        path: the shared part.
        tasks: all that the network has.
        open_part: opens a file as a session of onnxruntime.
        device: on which the tensors between the parts stay, `cpu` or `cuda:N`.

    Attributes:
        shared: the session of the shared part; the others open when their task is first asked for.
    """

    def __init__(self, path: Path, tasks: Sequence[str], open_part: Callable[[Path], Any], device: str = "cpu") -> None:
        self.shared = open_part(path)
        self._open = open_part
        self._paths = part_paths(path, tasks)
        self._own: dict[str, Any] = {}
        kind, _, index = device.partition(":")
        self._place = kind, int(index or 0)

    def run(self, crops: NDArray[np.uint8], tasks: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the logits float32 (N, classes) of each task for crops uint8 (N, S, S, 3).

        Raises:
            UserError: a part can't be opened.
        """
        if not self._paths:
            outputs: list[NDArray[np.float32]] = self.shared.run(list(tasks), {INPUT: crops})
            return outputs
        crops = np.ascontiguousarray(crops)
        parts = {task: self._part(task) for task in tasks}
        passed = {entry.name for part in parts.values() for entry in part.get_inputs()} - {INPUT}
        values = _run(self.shared, crops, {}, sorted(passed), self._place)
        return [_run(part, crops, values, [task], ("cpu", 0))[task].numpy() for task, part in parts.items()]

    def _part(self, task: str) -> Any:
        if task not in self._own:
            self._own[task] = self._open(self._paths[task])
        return self._own[task]


def _run(
    session: Any, crops: NDArray[np.uint8], values: dict[str, Any], outputs: Iterable[str], place: tuple[str, int]
) -> dict[str, Any]:
    """Return some outputs of a session as onnxruntime's values on a device, so that nothing is copied."""
    binding = session.io_binding()
    for entry in session.get_inputs():
        if entry.name == INPUT:
            binding.bind_cpu_input(INPUT, crops)
        else:
            binding.bind_ortvalue_input(entry.name, values[entry.name])
    for name in outputs:
        binding.bind_output(name, *place)
    session.run_with_iobinding(binding)
    return dict(zip(outputs, binding.get_outputs(), strict=True))
