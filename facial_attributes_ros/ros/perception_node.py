"""The perception node: images in, attributes of every face out. Run it through `perception`."""

import gc
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from numpy.typing import NDArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.bridge import image_converter
from facial_attributes_ros.ros.conversion import ConversionError, compressed_to_bgr
from facial_attributes_ros.ros.diagnostics import ERROR, OK, WARN, Statistics, assess
from facial_attributes_ros.ros.messages import FrameTime
from facial_attributes_ros.ros.order import ArrivalOrder
from facial_attributes_ros.ros.outputs import Outputs
from facial_attributes_ros.ros.parameters import ParameterTable
from facial_attributes_ros.ros.process import Finish
from facial_attributes_ros.ros.settings import Settings
from facial_attributes_ros.ros.throttle import Throttle
from facial_attributes_ros.ros.topics import compressed_twin
from facial_attributes_ros.ros.worker import NewestWorker
from facial_attributes_ros.runtime.engine import load_engine
from facial_attributes_ros.vision.detectors import load_detector
from facial_attributes_ros.vision.pipeline import FramePipeline

WARM_BATCHES = (1, 2, 4, 8)
"""Numbers of faces the model is tried with before the first frame."""
WARM_FRAME = (480, 640, 3)
STOP_TIMEOUT = 5.0
"""Seconds a frame in work may take to finish when the node is deactivated."""

_SUCCESS, _FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class Perception(LifecycleNode):
    """A managed node that estimates age, gender and emotion of every face in the newest image.

    `configure` reads the parameters, loads and warms detector and model; `activate` begins to listen; `deactivate`
    stops; `cleanup` frees. Whatever goes wrong in configure is one sentence in the log, and the node stays
    unconfigured.

    Args:
        name: of the node, unless remapped.
        refused: called when the node should configure itself at the start and cannot; by default it waits to be mended.
    """

    def __init__(self, name: str = "perception", refused: Callable[[], None] = lambda: None, **options: Any) -> None:
        super().__init__(name, **options)
        self._refused = refused
        self._table = ParameterTable(self)
        self._settings: Settings | None = None
        self._applied: Settings | None = None
        self._pipeline: FramePipeline | None = None
        self._outputs: Outputs | None = None
        self._worker: NewestWorker[Any] | None = None
        self._subscription: Any = None
        self._convert: Any = None
        self._about: dict[str, str] = {}
        self._state = "unconfigured"
        self._problem: str | None = None
        self._order = ArrivalOrder()
        self._camera: str | None = None
        self._statistics, self._throttle = Statistics(), Throttle()
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._take_parameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # The node's own clock stands still while a recording is paused.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._publish_diagnostics, clock=self._steady)

        self._answer_impossible_transitions()

    def _answer_impossible_transitions(self) -> None:
        """Answer a transition that the state does not allow with a refusal; rclpy lets it end the node."""
        change_state = self._service_change_state.callback

        def answer(request: Any, response: Any) -> Any:
            try:
                return change_state(request, response)
            except RuntimeError as error:
                self.get_logger().warning(f"Transition {request.transition.id} is refused while {self._state}: {error}")
                response.success = False
                return response

        self._service_change_state.callback = answer

    def begin(self) -> None:
        """Configure and activate, if the parameter `autostart` says so."""
        if not self.get_parameter("autostart").value:
            return
        if self.trigger_configure() == _SUCCESS:
            self.trigger_activate()
        else:
            self._refused()

    def end(self) -> None:
        """Stop and free everything."""
        if self._state != "finalized":
            self.trigger_shutdown()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters; load and warm up detector and model; create the publishers."""
        try:
            self._configure()
        except UserError as error:
            self._problem = str(error)
        except Exception as error:  # rclpy would swallow it without a word
            self._problem = f"The model or detector could not be loaded ({type(error).__name__}: {error})."
        else:
            self._problem, self._state = None, "inactive"
            return super().on_configure(state)
        self.get_logger().error(f"Not configured: {self._problem}")
        self._release()
        return _FAILURE

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to listen and to work."""
        self._statistics.restart()
        self._worker = NewestWorker(self._work, lambda: self._statistics.count("skipped"), name="perception")
        self._worker.start()
        result = super().on_activate(state)
        compressed = self._settings is not None and self._settings.compressed
        self._subscription = self.create_subscription(
            CompressedImage if compressed else Image,
            compressed_twin(self, "image") if compressed else "image",
            self._on_image,
            _newest(),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._state = "active"
        self.get_logger().info(f"Waiting for images on {self._subscription.topic_name}.")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening and working."""
        self._stop(STOP_TIMEOUT)
        if self._outputs is not None:
            self._outputs.forget_faces()
        self._state = "inactive"
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model, the detector and the publishers."""
        result = super().on_cleanup(state)
        self._release()
        self._state = "unconfigured"
        return result

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything, from any state."""
        self._stop(timeout=0.5)
        self._release()
        self._state = "finalized"
        return super().on_shutdown(state)

    def _configure(self) -> None:
        self._problem = None
        settings = self._table.read()
        detector = load_detector(settings.detector, **asdict(settings.detection))
        engine = load_engine(settings.model, settings.device, settings.engine, settings.threads)
        detector.detect(np.zeros(WARM_FRAME, np.uint8))
        engine.warm_up(WARM_BATCHES)
        self._pipeline = FramePipeline(detector, engine, settings.pipeline)
        self._outputs = Outputs(self, settings, engine.spec.name)
        self._convert = compressed_to_bgr if settings.compressed else image_converter()
        self._settings = self._applied = settings
        self._about = {"model": engine.spec.name, "device": engine.device, "engine": engine.name}
        self._about["detector"] = settings.detector
        self.get_logger().info(f"The model {engine.spec.name} runs in {engine.name} on {engine.device}.")

    def _stop(self, timeout: float) -> None:
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        if self._worker is not None and not self._worker.stop(timeout):
            self.get_logger().warning("The frame in work does not come to an end; going on without it.")
        self._worker = None

    def _release(self) -> None:
        if self._outputs is not None:
            self._outputs.close()
        self._outputs = self._pipeline = self._settings = self._applied = None
        self._about = {}
        gc.collect()
        # Only who uses torch has it imported.
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def _check_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        return self._table.check(changes, configured=self._settings is not None)

    def _take_parameters(self, changes: Sequence[Parameter]) -> None:
        self._table.settled(changes)
        if self._settings is not None:
            self._settings = self._table.read()

    def _on_image(self, message: Any) -> None:
        self._statistics.count("in")
        if self._worker is not None:
            self._worker.offer(message)

    def _work(self, message: Any) -> None:
        """Do all the work on one image, in the worker's thread; whatever is wrong with it, the next one counts."""
        try:
            self._process(message.header, self._convert(message))
        except ConversionError as error:
            self._statistics.count("bad")
            self._complain(f"An image is passed over: {error}")
        except Exception as error:  # a frame must not end the node
            self._statistics.count("failed")
            self._complain(f"The work on an image failed ({type(error).__name__}: {error}).")

    def _complain(self, sentence: str) -> None:
        text = self._throttle.pass_on(sentence)
        if text is not None:
            self.get_logger().warning(text)

    def _process(self, header: Any, image: NDArray[np.uint8]) -> None:
        pipeline, outputs = self._pipeline, self._outputs
        if pipeline is None or outputs is None:
            return
        self._apply_settings(pipeline, outputs)
        seconds = self._seconds(header.stamp)
        if offset := self._order.offset(seconds, time.monotonic()):
            self._statistics.count("skipped")
            self._complain(f"An image is dropped: its stamp is {offset:+.3f} s from that of the one before it.")
            return
        self._follow_camera(header.frame_id, image, pipeline)
        result = pipeline.process(image, seconds, outputs.wanted_tasks())
        outputs.publish_attributes(header, image, result.faces)
        latency = self.get_clock().now().nanoseconds * 1e-9 - seconds
        self._statistics.published(len(result.faces), latency, result.timings)
        outputs.publish_picture(header, image, result.faces)

    def _apply_settings(self, pipeline: FramePipeline, outputs: Outputs) -> None:
        """Take changed parameters between two frames, where nothing is in work."""
        settings = self._settings
        if settings is None or settings is self._applied:
            return
        pipeline.options = settings.pipeline
        pipeline.detector.options = settings.detection
        outputs.settings = settings
        self._applied = settings

    def _follow_camera(self, frame_id: str, image: NDArray[np.uint8], pipeline: FramePipeline) -> None:
        """Forget all faces when the images come from another camera, whose pixels show other places."""
        camera = f"{image.shape[1]}x{image.shape[0]} of frame '{frame_id}'"
        if self._camera not in (None, camera):
            pipeline.reset()
            self._complain(f"The camera changed from {self._camera} to {camera}: all tracks begin anew.")
        self._camera = camera

    def _seconds(self, stamp: Any) -> FrameTime:
        """Return the frame's time in seconds; a camera that sets no stamps is given the time of arrival."""
        if stamp.sec == 0 and stamp.nanosec == 0:
            return FrameTime(self.get_clock().now().nanoseconds * 1e-9, stamp)
        return FrameTime(stamp.sec + stamp.nanosec * 1e-9, stamp)

    def _publish_diagnostics(self) -> None:
        health = assess(self._statistics.report(), self._state, self._problem)
        level = {OK: DiagnosticStatus.OK, WARN: DiagnosticStatus.WARN, ERROR: DiagnosticStatus.ERROR}[health.level]
        values = [KeyValue(key=key, value=value) for key, value in (self._about | health.values).items()]
        status = DiagnosticStatus(
            level=level,
            name=f"{self.get_fully_qualified_name()}: attributes",
            message=health.message,
            hardware_id=self._about.get("device", ""),
            values=values,
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def _newest() -> Any:
    """Return the quality of service of images: best effort, and only the newest is kept."""
    profile = type(qos_profile_sensor_data)(
        depth=1,
        reliability=qos_profile_sensor_data.reliability,
        durability=qos_profile_sensor_data.durability,
    )
    return profile


def create(finish: Finish, argv: Sequence[str]) -> Perception:
    """Return the node.

    Args:
        finish: ends the process.
        argv: nothing, or `--must-start`, with which a node that cannot configure itself at the start ends with code 2.

    Raises:
        UserError: there are other arguments.
    """
    if list(argv) == ["--must-start"]:
        return Perception(refused=partial(finish, 2))
    if argv:
        raise UserError(f"The perception node takes ROS arguments and --must-start, not {' '.join(argv)}.")
    return Perception()
