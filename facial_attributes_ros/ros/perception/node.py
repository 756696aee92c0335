"""The perception node: images in, attributes of every face out. Run it through `perception`."""

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.event_handler import PublisherEventCallbacks, UnsupportedEventTypeError
from rclpy.parameter import Parameter

from facial_attributes_ros.ros.loading import Stages
from facial_attributes_ros.ros.managed import ManagedNode
from facial_attributes_ros.ros.perception.active import Active
from facial_attributes_ros.ros.perception.configured import Configured, Loaded, free_memory, load
from facial_attributes_ros.ros.perception.diagnostics import Statistics
from facial_attributes_ros.ros.perception.health import ERROR, OK, WARN, Situation, assess
from facial_attributes_ros.ros.perception.parameters import ParameterTable
from facial_attributes_ros.ros.process import Finish

STOP_TIMEOUT = 5.0
"""Seconds an image in work may take to finish when the node is deactivated."""
END_TIMEOUT = 0.5
"""Seconds it may take when the node is shut down."""


class Perception(ManagedNode):
    """A managed node that estimates age, gender and emotion of every face in the newest image.

    `configure` reads the parameters, loads and warms detector and model; `activate` begins to listen; `deactivate`
    stops; `cleanup` frees. Whatever goes wrong in one of them is one sentence in the log and in diagnostics.

    Args:
        name: of the node, unless remapped.
        refused: called when the node should start by itself and cannot; by default it waits to be mended.
    """

    def __init__(self, name: str = "perception", refused: Callable[[], None] = lambda: None, **options: Any) -> None:
        super().__init__(name, **options)
        self._refused = refused
        self._table = ParameterTable(self)
        self._configured: Configured | None = None
        self._active: Active | None = None
        self._statistics = Statistics()
        self._still_clock = _StillClock()
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._take_parameters)
        self._diagnostics = self._create_diagnostics()
        # The node's own clock stands still while a recording is paused.
        self.create_timer(1.0, self._publish_diagnostics, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _create_diagnostics(self) -> Any:
        greeting = PublisherEventCallbacks(matched=self._greet)
        try:
            return self.create_publisher(DiagnosticArray, "/diagnostics", 10, event_callbacks=greeting)
        except UnsupportedEventTypeError:  # not every middleware tells who begins to listen
            return self.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def begin(self) -> None:
        """Configure and activate, if the parameter `autostart` says so; the node answers meanwhile."""
        if self.get_parameter("autostart").value and not self.start():
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
        self._configured = Configured(self, loaded)
        # Some may have changed while the model was loaded.
        self._configured.take(self._table.read())
        about = self._configured.about
        self.get_logger().info(f"The model {loaded.engine.spec.title} runs in {about['engine']} on {about['device']}.")

    def activate(self) -> None:
        """Begin to listen and to work."""
        if self._configured is not None:
            self._active = Active(self, self._configured, self._statistics)
            self.get_logger().info(f"Waiting for images on {self._active.topic}.")

    def deactivate(self, timeout: float = STOP_TIMEOUT) -> None:
        """Stop listening and working."""
        active, self._active = self._active, None
        if active is not None:
            active.close(timeout)

    def free(self) -> None:
        """Free the model, the detector and the publishers."""
        configured, self._configured = self._configured, None
        with ExitStack() as steps:  # each is taken, the last one here first, whatever becomes of the others
            steps.callback(free_memory)
            if configured is not None:
                steps.callback(configured.close)
                del configured
            steps.callback(self.deactivate, END_TIMEOUT)

    def _check_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        return self._table.check(changes, configured=self.state not in ("unconfigured", "finalized"))

    def _take_parameters(self, changes: Sequence[Parameter]) -> None:
        self._table.settled(changes)
        if self._configured is not None:
            self._configured.take(self._table.read())

    def _publish_diagnostics(self) -> None:
        about = {} if self._configured is None else self._configured.about
        health = assess(self._statistics.report(), self._situation())
        level = {OK: DiagnosticStatus.OK, WARN: DiagnosticStatus.WARN, ERROR: DiagnosticStatus.ERROR}[health.level]
        values = [KeyValue(key=key, value=value) for key, value in (about | health.values).items()]
        status = DiagnosticStatus(
            level=level,
            name=f"{self.get_fully_qualified_name()}: attributes",
            message=health.message,
            hardware_id=about.get("device", ""),
            values=values,
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _greet(self, match: Any) -> None:
        """Have who begins to listen hear at once how the node is."""
        if match.current_count_change > 0:
            self._publish_diagnostics()

    def _situation(self) -> Situation:
        stages = None if self.loading is None else self.loading.stages
        return Situation(
            state=self.state,
            problem=self.problem,
            loading="" if stages is None else stages.text,
            loading_seconds=0.0 if stages is None else stages.seconds,
            clock_still=self._still_clock.seconds(self.get_clock().now().nanoseconds, time.monotonic()),
            topic="/image" if self._active is None else self._active.topic,
        )


class _StillClock:
    """Tells for how long a clock has not moved."""

    def __init__(self) -> None:
        self._reading: int | None = None
        self._moved = 0.0

    def seconds(self, reading: int, now: float) -> float:
        """Return the seconds since the reading of the clock changed, `now` being that of one that always moves."""
        if reading != self._reading:
            self._reading, self._moved = reading, now
        return now - self._moved


def create(finish: Finish, options: argparse.Namespace) -> Perception:
    """Return the node.

    Args:
        finish: ends the process.
        options: parsed arguments; with `must_start`, a node that cannot configure itself at the start ends with code 2.
    """
    return Perception(refused=partial(finish, 2)) if options.must_start else Perception()
