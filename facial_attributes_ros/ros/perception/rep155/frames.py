"""The way of another detector's faces through the active node: their images in, their estimates out."""

from collections.abc import Callable
from contextlib import ExitStack
from itertools import groupby
from typing import Any

from facial_attributes_ros.pipeline import FaceView
from facial_attributes_ros.ros.optional_messages import optional_messages
from facial_attributes_ros.ros.perception.frames import Frames
from facial_attributes_ros.ros.perception.rep155.followed import FollowedFaces, Seen
from facial_attributes_ros.ros.perception.rep155.publishing import TRACKED


class FollowedFrames(Frames):
    """Takes the newest images of another detector's faces through the pipeline; see `Frames`.

    The worker is offered a token for each image, and takes all images that have come since, so that none is lost with a
    token that a newer one replaces.
    """

    _followed: FollowedFaces

    def subscribe(self, offer: Callable[[Any], None], opened: ExitStack) -> str:
        """Follow the other detector's list; as in `Frames`."""
        messages = optional_messages("hri_msgs", "rep155", self._configured.settings.node.rep155)
        self._followed = FollowedFaces(
            self._node,
            messages,
            received=lambda message: super(FollowedFrames, self).received(message)[0],
            dropped=lambda: self._statistics.count("dropped"),
            offer=offer,
        )
        opened.callback(self._followed.close)
        return TRACKED

    def received(self, message: Any) -> tuple[float, Any]:
        """Return the token, which is the time of arrival; the image was recorded when it came."""
        return message, message

    def replaced(self) -> None:
        """Do nothing: the images of the older token are still taken."""

    def take(self, message: Any) -> None:
        """Take the images that have come through the pipeline, those of one stamp at a time."""
        del message  # the token
        seen = sorted(self._followed.take(), key=_stamp)
        for _, together in groupby(seen, key=_stamp):
            self._take_together(list(together))

    def _take_together(self, seen: list[Seen]) -> None:
        configured, header = self._configured, seen[0].message.header
        configured.apply_settings()
        stamp, tracked = self.frame_time(header.stamp), self._followed.ids
        views = [FaceView(one.id, configured.convert(one.message), one.score) for one in seen if one.id in tracked]
        result = self.estimated(lambda wanted: configured.pipeline.follow(views, tracked, stamp, wanted))
        with self._publishing:
            if self.closed:
                return
            configured.info.image_received(header.frame_id)
            configured.outputs.add_estimates(header, result.faces, tracked)
            latency = self._clock.now().nanoseconds * 1e-9 - stamp
            self._statistics.published(len(result.faces), latency, result.timings)

    def close_lists_without_frames(self) -> None:
        """Forget the faces of a detector that is gone."""
        if self._followed.ids and not self._node.count_publishers(TRACKED):
            self._followed.forget()
            with self._publishing:
                if not self.closed:
                    self._configured.outputs.add_estimates(None, (), ())

    def close(self) -> None:
        """Destroy the publishers of the faces, and publish nothing after that."""
        with self._publishing:
            self.closed = True
            self._configured.outputs.add_estimates(None, (), ())


def _stamp(seen: Seen) -> tuple[int, int]:
    stamp = seen.message.header.stamp
    return stamp.sec, stamp.nanosec
