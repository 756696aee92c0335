"""The perception node: images in, attributes of every face out. Run it through `perception`.

A frame's way through it: `active` (subscription, worker) → the pipeline → `outputs` (publishers).
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.loading import Stages
from facial_attributes_ros.ros.managed import ManagedNode
from facial_attributes_ros.ros.perception.active import Active
from facial_attributes_ros.ros.perception.configured import Configured, Loaded, free_memory, load
from facial_attributes_ros.ros.perception.diagnostics import Diagnostics
from facial_attributes_ros.ros.perception.health import Situation
from facial_attributes_ros.ros.perception.parameters import ParameterTable
from facial_attributes_ros.ros.perception.services import Services
from facial_attributes_ros.ros.perception.statistics import Statistics
from facial_attributes_ros.ros.process import Finish

STOP_TIMEOUT = 5.0
"""Seconds an image in work may take to finish when the node is deactivated."""
END_TIMEOUT = 0.5
"""Seconds it may take when the node is shut down."""


class Perception(ManagedNode):
    """A managed node that estimates age, gender and emotion of every face in the newest image.

    `configure` reads the parameters, loads and warms up detector and model; `activate` subscribes to images;
    `deactivate` stops; `cleanup` frees. Whatever fails in one of them is one sentence in the log and in diagnostics.

    Args:
        name: of the node, unless remapped.
        refused: called when the node should start by itself and cannot; by default it waits to be repaired.
    """

    def __init__(self, name: str = "perception", refused: Callable[[], None] = lambda: None, **options: Any) -> None:
        super().__init__(name, **options)
        self._refused = refused
        self._configured: Configured | None = None  # None: not configured
        self._active: Active | None = None  # None: not active
        self._new_model = ""
        self._table = ParameterTable(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        self._statistics = Statistics()
        Diagnostics(self, self._statistics, self._situation, self._about)
        Services(self, lambda: self._configured, self._forget, self._set_model)

    def begin(self) -> None:
        """Configure and activate, if the parameter `autostart` is true; the node answers meanwhile."""
        if not self.get_parameter("autostart").value:
            name = self.get_fully_qualified_name()
            self.get_logger().info(
                f"autostart is off: the node waits for `ros2 lifecycle set {name} configure`, and then activate."
            )
        elif not self.start():
            self._refused()

    def end(self) -> None:
        """Stop and free everything."""
        if self.between_transitions:
            self.trigger_shutdown()

    def load(self, stages: Stages) -> Loaded:
        """Read the parameters; load and warm up detector and model."""
        return load(self._table.read(), stages)

    def configure(self, loaded: Loaded) -> None:
        """Create the pipeline and the publishers."""
        self._configured = Configured.open(self, loaded)
        # Some may have changed while the model was loaded.
        self._configured.change(self._table.read())

    def activate(self) -> None:
        """Subscribe to images and start the worker."""
        if self._configured is None:
            raise UserError("The node is not configured.")
        self._active = Active.open(self, self._configured, self._statistics)
        self.get_logger().info(f"Waiting for images on {self._active.topic}.")

    def deactivate(self, timeout: float = STOP_TIMEOUT) -> None:
        """Unsubscribe and stop the worker."""
        active, self._active = self._active, None
        if active is not None:
            active.close(timeout)

    def free(self) -> None:
        """Free the model, the detector and the publishers."""
        configured, self._configured = self._configured, None
        with ExitStack() as steps:  # all of them, the last one here first, even if one fails
            steps.callback(free_memory)
            if configured is not None:
                steps.callback(configured.close)
                del configured
            steps.callback(self.deactivate, END_TIMEOUT)

    def _forget(self) -> None:
        if self._active is not None:
            self._active.forget()

    def _set_model(self, name: str) -> None:
        self._new_model = name
        self.set_parameters([Parameter("model", value=name)])
        self._new_model = ""

    def _check_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        configured = self.state not in ("unconfigured", "finalized")
        return self._table.check(changes, configured, self._new_model)

    def _apply_parameters(self, changes: Sequence[Parameter]) -> None:
        self._table.settled(changes)
        if self._configured is not None:
            self._configured.change(self._table.read())

    def _situation(self, clock_still: float) -> Situation:
        stages = None if self.loading is None else self.loading.stages
        return Situation(
            state=self.state,
            problem=self.problem,
            loading="" if stages is None else stages.text,
            loading_seconds=0.0 if stages is None else stages.seconds,
            clock_still=clock_still,
            topic="/image" if self._active is None else self._active.topic,
            unused_gpu="" if self._configured is None else self._configured.unused_gpu,
            poses_problem="" if self._active is None else self._active.poses_problem,
            conflict="" if self._configured is None else self._configured.outputs.conflict,
        )

    def _about(self) -> Mapping[str, str]:
        return {} if self._configured is None else self._configured.about


def create(finish: Finish, options: argparse.Namespace) -> Perception:
    """Return the node.

    Args:
        finish: ends the process.
        options: parsed arguments; with `must_start`, a node that cannot configure itself at the start ends with code 2.
    """
    return Perception(refused=partial(finish, 2)) if options.must_start else Perception()
