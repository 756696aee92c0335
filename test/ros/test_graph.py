"""The perception node among other processes: who comes late, clocks that go back, and images of every kind."""

import math
from base64 import b64encode

from facial_attributes_ros.ros.conversion import ENCODINGS

ARRAY = "facial_attributes_ros/FaceAttributesArray"
GREY_UYVY, GREY_YUYV = b"\x80\x00", b"\x00\x80"
"""A black pixel of packed YUV: no colour is the middle of its range."""


def test_who_listens_late_or_best_effort_gets_whole_attributes(graph, image):
    node, camera = graph.stub(), graph.peer()
    camera.publish(image(faces=1, stamp=(10, 0)))
    node.wait_for_text("Waiting for images")
    for second, best_effort in ((20, False), (30, True)):
        late = graph.peer()
        late.listen("faces", ARRAY, best_effort=best_effort)
        camera.send(late, image(faces=1, stamp=(second, 0)))
        # Attributes are worked out from the first image on that comes when the listener is known.
        (face,) = camera.send(late, image(faces=1, stamp=(second + 1, 0)))["faces"]
        assert not math.isnan(face["age"])
        assert (face["age_group"], face["gender"], face["emotion"]) == (1, 1, 1)


def test_a_simulated_clock_that_begins_again_is_no_trouble(graph, image):
    _, camera, listener = graph.running("--ros-args", "-p", "use_sim_time:=true")
    listener.listen("/diagnostics", "diagnostic_msgs/DiagnosticArray")
    clock = {"topic": "/clock", "kind": "rosgraph_msgs/Clock"}

    def healthy(second):
        heard = [m for m in listener.messages("/diagnostics") if m["header"]["stamp"]["sec"] == second]
        return [s for m in heard for s in m["status"] if s["level"] == 0 and "faces: 1" in s["message"]]

    for second in (100, 50):

        def tick(second=second):
            camera.publish({"clock": {"sec": second, "nanosec": 0}}, **clock)
            # Diagnostics and faces come on topics of their own, in either order.
            return healthy(second) and (second, 0) in listener.stamps("faces")

        camera.publish_until(listener, tick, image(faces=1, stamp=(second, 0)), f"good health at {second} s")


def test_images_of_every_encoding_are_worked_on(graph, image):
    _, camera, listener = graph.running()
    for second, (name, encoding) in enumerate(ENCODINGS.items(), start=1):
        step = 8 * encoding.channels * encoding.depth // 8
        size = step * 4 * encoding.planes[0] // encoding.planes[1]
        pixel = {"yuv422": GREY_UYVY, "uyvy": GREY_UYVY, "yuyv": GREY_YUYV, "yuv422_yuy2": GREY_YUYV}.get(name)
        data = bytes(size) if pixel is None else pixel * (size // 2)
        if name in ("nv21", "nv24"):
            data = bytes(4 * step) + b"\x80" * (size - 4 * step)
        fields = {"encoding": name, "width": 8, "height": 4, "step": step, "data_base64": b64encode(data).decode()}
        array = camera.send(listener, image(stamp=(second, 0)) | fields)
        assert (array["image_width"], array["image_height"]) == (8, 4), name
