"""Look at a live page as some browsers would, and print what each gets and what the server costs.

.venv/bin/python scripts/figures/live_page_load.py http://127.0.0.1:8080/ --clients 10 --seconds 20
"""

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from websockets.sync.client import connect

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Got:
    """What one browser got: images, and their bytes."""

    images: int = 0
    size: int = 0


def look(address: str, seconds: float, width: int) -> Got:
    """Look at the first view of a page for some seconds.

    Args:
        address: host and port.
        seconds: from the first image on.
        width: of the image on the page, in pixels.
    """
    host, _, port = address.partition(":")
    got, view, end = Got(), "", float("inf")
    plain = socket.create_connection((host, int(port)))
    with connect(f"ws://{address}/live/ws", sock=plain, additional_headers={"Origin": f"http://{address}"}) as page:
        while time.monotonic() < end:
            message = page.recv()
            if isinstance(message, bytes):
                end = min(end, time.monotonic() + seconds)
                got.images, got.size = got.images + 1, got.size + len(message)
                page.send('{"shown": true}')
            elif not view and (views := json.loads(message)["views"]):
                view = views[0]["id"]
                page.send(json.dumps({"view": view, "width": width, "visible": True}))
    return got


def listener_of(port: int) -> int | None:
    """Return the id of the process that listens at a port of this machine, None if it cannot be seen."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) in inodes:
                return int(link.parts[2])
        except OSError:  # it has ended, or is another user's
            continue
    return None


def processor_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def main(argv: Sequence[str] | None = None) -> int:
    """Look, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="address of the live page")
    parser.add_argument("--clients", type=int, default=1, help="number of browsers; 0 measures the idle server")
    parser.add_argument("--seconds", type=float, default=20.0, help="for which each looks")
    parser.add_argument("--width", type=int, default=800, help="of the image on the page, in pixels")
    args = parser.parse_args(argv)
    parts = urlsplit(args.url)
    pid = listener_of(parts.port or 80)
    begun, used = time.monotonic(), processor_seconds(pid) if pid else 0.0
    with ThreadPoolExecutor(max(args.clients, 1)) as pool:
        looking = [pool.submit(look, parts.netloc, args.seconds, args.width) for _ in range(args.clients)]
        if not looking:
            time.sleep(args.seconds)
        results = [one.result() for one in looking]
    passed = time.monotonic() - begun
    for got in results:
        rate, size = got.images / args.seconds, got.size / max(got.images, 1)
        sys.stdout.write(f"{rate:.1f} images/s of {size / 1000:.0f} kB\n")
    if pid:
        cores = (processor_seconds(pid) - used) / passed
        sys.stdout.write(f"The server used {100 * cores:.1f} % of a core with {args.clients} browsers.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
