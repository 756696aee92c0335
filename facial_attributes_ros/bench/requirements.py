"""What measurements over a ROS graph need."""

from collections.abc import Iterator
from contextlib import contextmanager

from facial_attributes_ros.errors import UserError


@contextmanager
def ros_required() -> Iterator[None]:
    """Import ROS and this package's messages in the block.

    Raises:
        UserError: one of them is missing.
    """
    try:
        yield
    except ImportError as error:
        raise UserError(f"--end-to-end and --load need ROS 2 and this package's messages: {error}") from error
