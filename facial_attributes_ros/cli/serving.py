"""What the subcommands that serve pages share: the options of the server, and the server itself."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facial_attributes_ros.cli.common import port_number, warn

if TYPE_CHECKING:
    from facial_attributes_ros.web.app import Part
    from facial_attributes_ros.web.serve import WebServer


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


def page_server(args: argparse.Namespace, pages: "Sequence[Part]") -> "WebServer":
    """Return the server of some pages, which has not started.

    Raises:
        UserError: the address cannot be had, or the certificate cannot be used.
    """
    from facial_attributes_ros.web.app import create_app
    from facial_attributes_ros.web.security import Access
    from facial_attributes_ros.web.serve import WebServer

    access = Access.of(args.host, args.allow_host)
    return WebServer(create_app(pages, access), access, args.host, args.port, args.certificate, args.key)


def print_address(server: "WebServer", args: argparse.Namespace, insecure: str, end: str = "Ctrl-C ends") -> None:
    """Print the address to open, after warnings if others than this machine reach it.

    Args:
        server: which has started.
        args: with the options of `add_serving`.
        insecure: what happens without a certificate, as the end of a sentence.
        end: what ends the command.
    """
    from facial_attributes_ros.web.security import is_loopback

    if not is_loopback(args.host):
        warn("everybody in this network who has the address below can use this page.")
        if args.certificate is None:
            warn(f"without --certificate, {insecure}.")
    print(f"Open {server.url} in a browser; {end}.", flush=True)
