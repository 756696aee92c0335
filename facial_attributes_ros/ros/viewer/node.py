"""The viewer node: serves a live page of the running graph. Run it through `viewer`."""

import argparse
import contextlib
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile

from facial_attributes_ros.ros.parameters import ParameterNames, declare
from facial_attributes_ros.ros.process import Finish
from facial_attributes_ros.ros.viewer.discovery import View, find_views
from facial_attributes_ros.ros.viewer.reasons import STALE, Situation, problems, rates
from facial_attributes_ros.ros.viewer.settings import VIEWER_SETTINGS, ViewerOptions
from facial_attributes_ros.ros.viewer.watch import Watch
from facial_attributes_ros.web.app import create_app
from facial_attributes_ros.web.live.hub import Hub
from facial_attributes_ros.web.live.part import live_part
from facial_attributes_ros.web.live.stream import ViewStream
from facial_attributes_ros.web.security import Access, is_loopback
from facial_attributes_ros.web.serve import WebServer

PERIOD: Final = 1.0
"""Seconds between two queries of the graph, while a page is visible."""

DIAGNOSED: Final = "attributes"
"""What follows the name of a perception node in its diagnostics."""


class Viewer(Node):
    """Serves the live page. It subscribes only to what a page shows, and publishes nothing.

    Raises:
        UserError: a parameter has an invalid value, one was given that does not exist, or the address cannot be had.
    """

    def __init__(self) -> None:
        super().__init__("viewer")
        for setting in VIEWER_SETTINGS:
            declare(self, setting)
        ParameterNames(self).check_overrides()
        self._options = ViewerOptions(**{one.name: self.get_parameter(one.name).value for one in VIEWER_SETTINGS})
        self._hub = Hub()
        self._watches: dict[str, Watch] = {}
        self._diagnostics: dict[str, tuple[float, Mapping[str, Any]]] = {}
        self._health: Any = None
        access = Access.of(self._options.host)
        self._server = WebServer(
            create_app([live_part(self._hub)], access), access, self._options.host, self._options.port
        )
        self._wake = self.create_guard_condition(self._update)
        self._hub.changed = self._wake.trigger
        self._timer = self.create_timer(PERIOD, self._update, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._timer.cancel()

    def begin(self) -> None:
        """Serve the page and print its address, which is not logged: it may hold a token."""
        self._server.start()
        with contextlib.suppress(OSError):  # nobody reads it
            sys.stdout.write(f"Live page: {self._server.url}\n")
            sys.stdout.flush()
        if not is_loopback(self._options.host):
            self.get_logger().warning(
                "The page can be reached from other machines: whoever has its address with the token sees the camera."
            )

    def end(self) -> None:
        """End all connections."""
        self._hub.changed = lambda: None
        self._server.stop()

    def _update(self) -> None:
        """Query the graph, follow what the pages show, and send each its status."""
        if not self._hub.seen:
            self._rest()
            return
        if self._health is None:
            self._health = self.create_subscription(
                DiagnosticArray, "/diagnostics", self._on_diagnostics, QoSProfile(depth=10)
            )
            self._timer.reset()
        views = {view.id: view for view in find_views(self)}
        watched = self._hub.watched()
        for name in [name for name in self._watches if name not in watched]:
            self._watches.pop(name).close()
        for name in watched:
            self._follow(name, views.get(name))
        choices = [view.to_dict() for view in views.values()]
        resting = self._resting({view.node for view in views.values()})
        statuses = {name: self._status(watch, resting) for name, watch in self._watches.items()}
        self._hub.publish_status(choices, statuses, problems(Situation(resting=resting)))

    def _follow(self, name: str, view: View | None) -> None:
        watch = self._watches.get(name)
        if watch is not None:
            # A view that a page shows and that is gone may come back: its topics stay subscribed.
            watch.follow(view or replace(watch.view, node=""))
        elif view is not None:
            options = self._options
            sink, widths = partial(self._hub.publish_frame, name), partial(self._hub.wanted_widths, name)
            stream = ViewStream(options.size, options.rate, options.jpeg_quality, sink, widths)
            self._watches[name] = Watch(self, view, stream)

    def _resting(self, publishing: Collection[str]) -> dict[str, Mapping[str, Any]]:
        """Return the diagnostics of the perception nodes that publish no faces, such as one that loads its model."""
        now = time.monotonic()
        return {
            node: status
            for node, (at, status) in self._diagnostics.items()
            if node not in publishing and now - at < STALE
        }

    def _status(self, watch: Watch, resting: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        situation = watch.situation()
        situation.resting = resting
        at, diagnostics = self._diagnostics.get(watch.view.node, (None, None))
        if at is not None:
            situation.diagnostics, situation.diagnostics_silence = diagnostics, time.monotonic() - at
        found = {"problems": problems(situation), "rates": rates(situation.diagnostics)}
        return watch.status() | watch.view.to_dict() | found

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            node, _, part = status.name.partition(": ")
            if part == DIAGNOSED:
                level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
                values = {one.key: one.value for one in status.values}
                self._diagnostics[node] = (
                    time.monotonic(),
                    {"level": level, "message": status.message, "values": values},
                )

    def _rest(self) -> None:
        """Cost nothing while no page is open and visible."""
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()
        self._diagnostics.clear()
        self._timer.cancel()
        if self._health is not None:
            self.destroy_subscription(self._health)
            self._health = None


def create(_finish: Finish, _options: argparse.Namespace) -> Viewer:
    """Return the node.

    Raises:
        UserError: a parameter has an invalid value, one was given that does not exist, or the address cannot be had.
    """
    return Viewer()
