"""The parameters of the viewer node, all read-only. Needs no ROS."""

from dataclasses import dataclass
from typing import Final

from facial_attributes_ros.setting import Setting, setting, settings_of


@dataclass(frozen=True, slots=True)
class ViewerOptions:
    """Where the page is served, and what its images cost."""

    host: str = setting(
        "127.0.0.1",
        "Address at which the page is served. Beyond this machine the page needs the token that is printed with its "
        "address, and whoever has it sees the camera.",
        when="start",
    )
    port: int = setting(0, "Port of the page; 0 for a free one.", low=0, high=65535, when="start")
    rate: float = setting(
        15.0, "Images per second that a browser is sent at most.", low=0.1, high=60, unit="Hz", when="start"
    )
    size: int = setting(
        800, "Longest side of the images that are sent; larger ones are scaled down.", low=64, high=4096, unit="pixels",
        when="start",
    )  # fmt: skip
    jpeg_quality: int = setting(75, "JPEG quality of the images that are sent.", low=1, high=100, when="start")


VIEWER_SETTINGS: Final[tuple[Setting, ...]] = tuple(settings_of(ViewerOptions).values())
"""Every parameter of the viewer node."""
