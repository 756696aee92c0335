"""What the subcommands that serve pages share: the options of the server, and the serving."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from facial_attributes_ros.cli.common import port_number, warn
from facial_attributes_ros.errors import UserError

if TYPE_CHECKING:
    from facial_attributes_ros.web.app import Part


def add_serving(parser: argparse.ArgumentParser) -> None:
    """Add the options of the server."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; others than this machine's own need a token (default: %(default)s)",
    )
    parser.add_argument("--port", type=port_number, default=0, help="port to listen at (default: a free one)")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a further name that browsers reach it by"
    )
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="certificate in PEM format, for https")
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help="private key of the certificate, if it is a file apart"
    )


def serve(args: argparse.Namespace, pages: "Sequence[Part]", insecure: str, end: str = "Ctrl-C ends") -> NoReturn:
    """Print the address of pages, after warnings if others than this machine reach it, and serve them until Ctrl-C.

    Args:
        args: with the options of `add_serving`.
        pages: the first one opens at the address.
        insecure: what happens without a certificate, as the end of a sentence.
        end: what ends the command.

    Raises:
        UserError: the address cannot be had, the certificate cannot be used, or the server ended by itself.
    """
    from facial_attributes_ros.web.app import create_app
    from facial_attributes_ros.web.security import Access
    from facial_attributes_ros.web.serve import WebServer

    access = Access.of(args.host, args.allow_host)
    app = create_app(pages, access)
    with WebServer(app, access, args.host, args.port, args.certificate, args.key) as server:
        if not access.local:
            warn("everybody in this network who has the address below can use this page.")
            if args.certificate is None:
                warn(f"without --certificate, {insecure}.")
        print(f"Open {server.url} in a browser; {end}.", flush=True)
        server.wait()
    raise UserError("The web server ended by itself; the log says why.")
