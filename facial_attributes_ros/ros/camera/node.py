"""The camera node: publishes a source of frames as a camera would. Run it through `camera`."""

import argparse
import threading
import time
from collections.abc import Iterator
from typing import Any

import cv2
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.sources import Frame, open_source
from facial_attributes_ros.ros.camera.settings import CAMERA_SETTINGS
from facial_attributes_ros.ros.conversion import bgr_fields
from facial_attributes_ros.ros.parameters import ParameterNames, declare
from facial_attributes_ros.ros.process import Finish
from facial_attributes_ros.ros.topics import overridable, qos_parameters

LATE = 1.0
"""Delay in seconds from which on a source that is too slow no longer catches up."""
POLL = 0.1
"""Seconds between two checks for a subscriber."""
PATIENCE = 3.0
"""Seconds without a subscriber after which the camera says that it waits for one."""
END_TIMEOUT = 1.0
"""Seconds the thread has to end."""


class Camera(Node):
    """Publishes `image` (bgr8, sensor data quality of service) in real time, stamped when the frame is shown.

    It begins when there is a subscriber, so that a short video does not end before a model is loaded. All parameters
    are read-only. The node ends its process when the source ends or fails.

    Args:
        finish: ends the process.

    Raises:
        UserError: a parameter has an invalid value, or one was given that does not exist.
    """

    def __init__(self, finish: Finish) -> None:
        super().__init__("camera")
        self._finish = finish
        for setting in CAMERA_SETTINGS:
            declare(self, setting)
        ParameterNames(self, later=qos_parameters(self, "publisher", ["image"])).check_overrides()
        self._publisher = self.create_publisher(
            Image,
            "image",
            qos_profile_sensor_data,
            qos_overriding_options=overridable(),
        )
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def begin(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def end(self) -> None:
        """Stop publishing."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(END_TIMEOUT)

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _run(self) -> None:
        try:
            source = self._value("source")
            size = (self._value("width"), self._value("height"))
            frames = open_source(source, size, self._value("rate"), self._value("loop"))
            if self._wait_for_subscriber():
                self._show(frames, source)
        except UserError as error:
            self._stop_with(str(error), 2)
        except Exception as error:  # else the thread would end without a message
            self._stop_with(f"The source failed ({type(error).__name__}: {error}).", 1)

    def _wait_for_subscriber(self) -> bool:
        """Wait until there is a subscriber; return False if the node is to end before that."""
        begun, logged = time.monotonic(), False
        while not self._publisher.get_subscription_count():
            if not logged and time.monotonic() - begun > PATIENCE:
                logged = True
                self.get_logger().info(f"Nothing is shown yet: nobody subscribes to {self._publisher.topic_name}.")
            if self._ending.wait(POLL):
                return False
        return True

    def _stop_with(self, sentence: str, code: int) -> None:
        if not self._ending.is_set():
            self.get_logger().error(sentence)
            self._finish(code)

    def _show(self, frames: Iterator[Frame], source: str) -> None:
        frame_id = self._value("frame_id")
        begun: float | None = None
        for image, seconds in frames:
            if begun is None:
                begun = time.monotonic() - seconds
                self.get_logger().info(f"Showing {source}: {image.shape[1]}x{image.shape[0]}.")
            wait = begun + seconds - time.monotonic()
            if wait < -LATE:
                begun -= wait
            if self._ending.wait(max(wait, 0.0)):
                return
            message = Image(**bgr_fields(image))
            message.header.frame_id = frame_id
            message.header.stamp = self.get_clock().now().to_msg()
            self._publisher.publish(message)
        self.get_logger().info(f"The source {source} has ended: set loop to start it again.")
        self._finish(0)


def create(finish: Finish, _options: argparse.Namespace) -> Camera:
    """Return the node.

    Args:
        finish: ends the process.

    Raises:
        UserError: a parameter has an invalid value, or one was given that does not exist.
    """
    # The source reports the fault in one sentence; OpenCV would warn of the same in several lines.
    logging = getattr(cv2.utils, "logging", None)  # older releases have none
    if logging is not None:
        logging.setLogLevel(logging.LOG_LEVEL_ERROR)
    return Camera(finish)
