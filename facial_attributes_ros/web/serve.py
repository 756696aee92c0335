"""The server of the pages: in a thread of its own, for a command and for a ROS node alike."""

import logging
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import Self

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.web.security import Access

_LOGGER = logging.getLogger(__name__)

PIECE: Final = 1 << 18
"""Largest size in bytes of the pieces that a browser sends a file in."""
_MESSAGE: Final = 4 << 20
"""Largest message of a WebSocket in bytes: a frame of a webcam is one message."""
_CONNECTIONS: Final = 256
_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 2


class WebServer:
    """Serves an application from its start to its stop. Signals stay with the program.

    Attributes:
        url: of the first page, with the token if one is needed: to be printed for the user, and never logged.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        host: str = "127.0.0.1",
        port: int = 0,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        """Take the address, so that nobody else gets it.

        Args:
            app: what `app.create_app` returns.
            access: with which it was made.
            host: address or name to listen at.
            port: 0 for a free one.
            certificate: file in PEM format for https; None for http.
            key: private key of the certificate, if it is not in the same file.

        Raises:
            UserError: the address cannot be had, or the certificate cannot be used.
        """
        self._socket = _listen(host, port)
        self.url = _url(self._socket, access, "https" if certificate else "http", host)
        config = uvicorn.Config(
            app,
            lifespan="off",
            access_log=False,  # it would hold the token
            log_config=None,
            log_level="warning",
            ws_max_size=_MESSAGE,
            ws_max_queue=4,
            ws_per_message_deflate=False,  # images are compressed already
            limit_concurrency=_CONNECTIONS,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        try:
            config.load()
        except OSError as error:  # ssl.SSLError is one
            self._socket.close()
            raise UserError(f"The certificate {certificate} cannot be used: {error.strerror or error}.") from error
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="web-server", daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def running(self) -> bool:
        """Whether pages are served."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Serve from now on; return when the pages can be had.

        Raises:
            UserError: the server did not start; the log says why.
        """
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise UserError("The web server did not start; the log says why.")
            time.sleep(0.01)

    def wait(self) -> None:
        """Return when the server has ended; Ctrl-C interrupts it."""
        while self._thread.is_alive():
            self._thread.join(0.5)  # a join without a limit cannot be interrupted on every Python

    def stop(self) -> None:
        """End all connections and the thread; may be called twice."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(_STOP_SECONDS + 3)
        self._socket.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except SystemExit:  # uvicorn's answer to a failed start
            _LOGGER.error("The web server ended.")


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port < 1 << 16:
        raise UserError(f"There is no port {port}: choose one below 65536, or 0 for a free one.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError:
            listening.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"The address {host} with port {port} cannot be had: {reason}; choose another one.") from error
    return listening


def _url(listening: socket.socket, access: Access, scheme: str, host: str) -> str:
    address, port = listening.getsockname()[:2]
    if address in ("0.0.0.0", "::"):  # noqa: S104 (the user has asked for all of them)
        address = socket.gethostname()
    elif host != address and ":" not in host:
        address = host
    name = f"[{address}]" if ":" in address else address
    return f"{scheme}://{name}:{port}/" + (f"?token={access.token}" if access.token else "")
