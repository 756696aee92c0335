"""A node as a process: start, spin, and end cleanly and soon, at any moment.

The main thread only waits for a signal; the node runs in a second thread. So Ctrl-C works while a model
is being loaded or libraries are being imported. Nothing heavy is imported here before the signals are in place.
"""

import argparse
import contextlib
import importlib
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from facial_attributes_ros.child_processes import end_children
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.privacy import keep_to_own_cache
from facial_attributes_ros.ros.arguments import PARSERS, NodeParser, named_nodes, own_arguments, params_files

GRACE = 1.0
"""Seconds the node has to end after a signal; then the process ends without it."""
OWN_END = 10.0
"""Seconds the node has to end by itself, such as after its duration."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""The signals that end a node. They may be blocked when the process starts; they wait until the handlers are set."""
IDLE = 0.2
"""Seconds between two checks whether to end while nothing happens."""

Finish = Callable[[int], None]
"""Called by a node, from any thread, to end its process with an exit code."""


class NodeProcess:
    """Runs one node until a signal arrives or the node has finished.

    Args:
        module: where the node's function `create(finish: Finish, options: Namespace) -> Node` is; imported in the
            second thread. If the node has a method `begin()`, it is called before spinning; `end()`, if there is one,
            after it.
        name: of the executable, for messages to the user.
        options: the arguments that are not ROS's, parsed.
        argv: all arguments of the process, without its name.
    """

    def __init__(self, module: str, name: str, options: argparse.Namespace, argv: Sequence[str]) -> None:
        self._module, self._name, self._options = module, name, options
        self._argv = list(argv)
        self._over = threading.Event()
        self._signalled = False
        self._code = 0

    def run(self) -> int:
        """Run the node and return the exit code: 0 after Ctrl-C or its own end, 2 after a user's mistake."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        if self._over.is_set():
            return self._code
        thread = threading.Thread(target=self._live, name="node", daemon=True)
        thread.start()
        self._over.wait()
        end_children()
        latest = time.monotonic() + OWN_END
        while thread.is_alive() and not self._signalled and time.monotonic() < latest:
            thread.join(IDLE)
        thread.join(GRACE)
        return self._code

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # A second signal changes nothing: `ros2 launch` forwards the Ctrl-C that the terminal has already sent here.
        self._signalled = True
        self._over.set()

    def _finish(self, code: int) -> None:
        self._code = code
        self._over.set()

    def _live(self) -> None:
        try:
            self._spin()
        except UserError as error:
            self._report(str(error))
        except ModuleNotFoundError as error:
            self._report(f"{error}" if str(error).endswith(".") else f"{error}; install it or source ROS 2 first.")
        except Exception as error:
            if self._over.is_set():
                return
            # No caller would report it.
            logging.getLogger(__name__).exception("The node ended because of an error: %s", error)
            self._code = 1
        finally:
            self._over.set()

    def _report(self, sentence: str) -> None:
        sys.stderr.write(f"{self._name}: {sentence}\n")
        self._code = 2

    def _spin(self) -> None:
        keep_to_own_cache()
        _keep_log()
        import rclpy.utilities
        from rclpy.executors import SingleThreadedExecutor

        create = importlib.import_module(self._module).create
        self._start_ros()
        try:
            node = self._created(create)
            with _LogToRos(node.get_logger()):
                executor = SingleThreadedExecutor()
                executor.add_node(node)
                try:
                    _call(node, "begin")
                    while not self._over.is_set():
                        executor.spin_once(timeout_sec=IDLE)
                finally:
                    _call(node, "end")
                    executor.shutdown(timeout_sec=IDLE)
                    node.destroy_node()
        finally:
            rclpy.utilities.try_shutdown()

    def _start_ros(self) -> None:
        import rclpy
        from rclpy.signals import SignalHandlerOptions

        from facial_attributes_ros.ros.params_file import node_names

        for file in params_files(self._argv):
            node_names(file)
        try:
            rclpy.init(args=self._argv, signal_handler_options=SignalHandlerOptions.NO)
        except RuntimeError as error:
            # Each message of rcl ends with its line in the source.
            reason = re.sub(r", at \S+:\d+", "", str(error).splitlines()[0]).removeprefix("failed to initialize rcl: ")
            raise UserError(f"ROS does not take the arguments: {reason.rstrip('.')}.") from error

    def _created(self, create: Callable[[Finish, argparse.Namespace], Any]) -> Any:
        from rclpy.exceptions import InvalidParameterTypeException

        from facial_attributes_ros.ros.params_file import check_params_file, is_name_of

        try:
            node = create(self._finish, self._options)
        except InvalidParameterTypeException as error:
            # A parameter that rclpy itself declares, as use_sim_time.
            raise UserError(f"{str(error).rpartition(': ')[0]}.") from error
        name = node.get_fully_qualified_name()
        for file in params_files(self._argv):
            check_params_file(file, name)
        for other in named_nodes(self._argv):
            if not is_name_of(other, name):
                raise UserError(f"A parameter is given to the node {other}, but this node is {name}.")
        return node


def _keep_log() -> None:
    """Have ROS write its log into the cache if it could not write it otherwise and would not start."""
    from facial_attributes_ros.cache import can_write, writable_cache

    if os.environ.get("ROS_LOG_DIR") or os.environ.get("ROS_HOME"):
        return
    home = os.environ.get("HOME")
    if not home or not can_write(Path(home) / ".ros" / "log"):
        os.environ["ROS_LOG_DIR"] = str(writable_cache() / "log")


def _call(node: Any, method: str) -> None:
    if hasattr(node, method):
        getattr(node, method)()


class _LogToRos(logging.Handler):
    """Sends what the library logs to the node's logger, and nowhere else, while it is entered."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._ros = logger
        self._library = logging.getLogger("facial_attributes_ros")

    def __enter__(self) -> None:
        from rclpy.logging import LoggingSeverity

        debugging = self._ros.is_enabled_for(LoggingSeverity.DEBUG)
        self._library.setLevel(logging.DEBUG if debugging else logging.INFO)
        self._library.addHandler(self)
        # Other libraries give the root logger a handler, and every line would show twice.
        self._library.propagate = False

    def __exit__(self, *_: object) -> None:
        self._library.removeHandler(self)
        self._library.propagate = True

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on at its level."""
        text = self.format(record)
        # rclpy wants one call site per level.
        if record.levelno >= logging.ERROR:
            self._ros.error(text)
        elif record.levelno >= logging.WARNING:
            self._ros.warning(text)
        elif record.levelno >= logging.INFO:
            self._ros.info(text)
        else:
            self._ros.debug(text)


def run_node(module: str, argv: Sequence[str] | None = None, parser: NodeParser | None = None) -> NoReturn:
    """Run the node of a module as this process and end the process; see `NodeProcess`.

    Args:
        module: as of `NodeProcess`, such as `facial_attributes_ros.ros.perception.node`.
        argv: all arguments, without the process's name; those of this process by default.
        parser: of the arguments that are not ROS's; by default that of the node whose folder the module is in.

    The interpreter's own end would free libraries and models one by one, and wait for one that is busy, such as loading
    a model; by now the node has closed what must be closed.
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = PARSERS[module.split(".")[-2]]() if parser is None else parser
    options = parser.parse_args(own_arguments(argv))
    code = NodeProcess(module, parser.prog, options, argv).run()
    for stream in (sys.stdout, sys.stderr):
        # The reader may have ended.
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)
