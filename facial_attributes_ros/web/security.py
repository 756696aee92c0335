"""Who may talk to the pages: the rules for hosts, origins and tokens, and the headers of every response.

A page on this machine can be reached by every other web page that is open in the same browser. So each request and each
WebSocket is checked: its `Host` must be a name of this server (a foreign name that resolves to 127.0.0.1 is DNS
rebinding), and it must come from one of our own pages. Beyond this machine a token is needed as well.

An address as `Host` cannot be rebound, since no name is resolved. The port of `Host` is free, so that a forwarded port
(`ssh -L`) works; `Origin` must then have the same one.
"""

import ipaddress
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY: Final = 1 << 20
"""Largest body of a request in bytes; images and videos come through a WebSocket, in pieces."""
SESSIONS: Final = 1000
"""Number of browsers that keep their cookie; with another one, the oldest loses its own."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self' {sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""A page loads scripts, styles and data from this server only, and makes no markup out of text."""

_HEADERS: Final = {
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), display-capture=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

_ENTRANCE: Final = "This page needs the address with the token, which was printed when the server started."
_FOREIGN_HOST: Final = "This server does not answer to the name {host}; start it with --allow-host {host} if it should."


@dataclass(slots=True)
class Access:
    """Who may talk to the server.

    Attributes:
        names: further names that browsers may know this server by, in small letters.
        local: whether the server listens on this machine only.
        token: which a browser shows once and gets a cookie for; empty if none is needed.
    """

    names: frozenset[str] = frozenset()
    local: bool = True
    token: str = ""
    _sessions: dict[str, None] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, host: str, names: Iterable[str] = ()) -> "Access":
        """Return the rules for a server that listens at `host`: beyond this machine, with a new token.

        Args:
            host: an address or a name.
            names: further names that browsers may know the server by.
        """
        local = is_loopback(host)
        own = {name.lower().rstrip(".") for name in names}
        if not local:
            own |= {host.lower(), socket.gethostname().lower(), f"{socket.gethostname().lower()}.local"}
        return cls(frozenset(own), local, "" if local else secrets.token_urlsafe(24))

    def knows(self, host: str) -> bool:
        """Return True if a `Host` header names this server."""
        name = host_name(host)
        if name == "localhost" or name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self.local

    def new_session(self) -> str:
        """Return the secret of a browser that has shown the token."""
        session = secrets.token_urlsafe(24)
        self._sessions[session] = None
        if len(self._sessions) > SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return session

    def admits(self, session: str) -> bool:
        """Return True if a browser has shown the token before, or none is needed."""
        return not self.token or session in self._sessions

    def is_token(self, text: str) -> bool:
        """Return True if a text is the token."""
        return bool(self.token) and secrets.compare_digest(text.encode(), self.token.encode())


def is_loopback(host: str) -> bool:
    """Return True if only this machine can reach a server that listens at an address or a name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """Return the name in a `Host` header, in small letters, without its port; empty if the header is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises for a port that is no number
        plain = parts.netloc == host and "@" not in host
        return (parts.hostname or "").rstrip(".") if plain else ""
    except ValueError:
        return ""


def refusal(scope: Scope, access: Access) -> str | None:
    """Return why a request or a WebSocket is not answered, whoever sends it; None if it comes from our own pages.

    A link from another site may open a page, which holds nothing by itself; everything else is for our pages only.
    """
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if len(headers.getlist("host")) != 1 or not host_name(host):
        return "A request that names no host is not answered."
    if not access.knows(host):
        return _FOREIGN_HOST.format(host=host_name(host))
    socket_ = scope["type"] == "websocket"
    origin = headers.get("origin")
    if origin is None:
        if socket_ or scope["method"] not in ("GET", "HEAD"):
            return "A request that names no origin is not answered."
    elif origin not in (f"http://{host}", f"https://{host}"):
        return "Another site's page asks for this."
    opens_page = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site") and not (opens_page and not socket_):
        return "Another site's page asks for this."
    return None


class Guard:
    """Answers only what `Access` admits, limits the bodies of requests, and adds the headers to every response."""

    def __init__(self, app: ASGIApp, access: Access, max_body: int = MAX_BODY) -> None:
        """Stand before an application."""
        self._app, self._access, self._max_body = app, access, max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or a WebSocket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        reason = refusal(scope, self._access)
        if reason is not None:
            await _refuse(scope, receive, send, PlainTextResponse(reason, 403))
            return
        if not self._access.admits(_session(scope)):
            await _refuse(scope, receive, send, self._entrance(scope))
            return
        if self._access.token and scope["type"] == "http" and b"token=" in scope["query_string"]:
            # A browser that was here before opens the address again: the token leaves the address line as well.
            await _with_headers(RedirectResponse(_plain(scope["path"]), 303), scope, receive, send)
            return
        await _with_headers(self._app, scope, self._limited(receive), send)

    def _entrance(self, scope: Scope) -> Response:
        """Return the answer to a browser without a cookie: the cookie for the token, or a sentence."""
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["type"] == "websocket" or scope["method"] != "GET" or not self._access.is_token(token):
            return PlainTextResponse(_ENTRANCE, 401)
        response = RedirectResponse(_plain(scope["path"]), 303)
        # Lax, so that the page also opens from a link in a message; what it then asks for is of our own site.
        response.set_cookie(
            _cookie_name(scope),
            self._access.new_session(),
            httponly=True,
            samesite="lax",
            secure=scope["scheme"] == "https",
        )
        return response

    def _limited(self, receive: Receive) -> Receive:
        """Return a `receive` that ends a request whose body is too long."""
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self._max_body:
                    return {"type": "http.disconnect"}
            return message

        return limited


def _plain(path: str) -> str:
    """Return a path of this server; two slashes at its start would name another one."""
    return quote("/" + path.lstrip("/\\"))


def _cookie_name(scope: Scope) -> str:
    """Return the name of the cookie: all ports of a host see each other's cookies."""
    port = urlsplit(f"//{Headers(scope=scope).get('host', '')}").port or ""
    return f"facial-attributes-{port}"


def _session(scope: Scope) -> str:
    try:
        cookies = SimpleCookie(Headers(scope=scope).get("cookie", ""))
    except CookieError:
        return ""
    morsel = cookies.get(_cookie_name(scope))
    return morsel.value if morsel else ""


async def _refuse(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    """Send a refusal; a WebSocket that is not accepted ends with the status 403."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
        return
    await _with_headers(response, scope, receive, send)


async def _with_headers(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    host = Headers(scope=scope).get("host", "")
    ours = _HEADERS | {"content-security-policy": _policy(host)}
    if scope["scheme"] == "https" or is_loopback(host_name(host)):
        ours["cross-origin-opener-policy"] = "same-origin"  # elsewhere browsers ignore it, with an error

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in ours.items():
                headers.setdefault(name, value)
        await send(message)

    await app(scope, receive, send_with_headers)


def _policy(host: str) -> str:
    """Return the content security policy; browsers differ in whether 'self' includes WebSockets, so they are named."""
    return _POLICY.format(sockets=f"ws://{host} wss://{host}" if host_name(host) else "")
