"""Where faces are, on a graph: what is published for which camera_info, and what is said without one."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("facial_attributes_ros.ros.messages", reason="neither ROS nor the messages are here")

from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.geometry.pose import FacePose
from facial_attributes_ros.ros.messages import GAZE
from facial_attributes_ros.ros.perception import cameras, poses
from facial_attributes_ros.ros.perception.depth_images import DepthImages
from facial_attributes_ros.ros.perception.places import Places

INFO = {"width": 64, "height": 48, "distortion_model": "plumb_bob", "d": [0.0] * 5}
INFO |= {"k": [50.0, 0.0, 32.0, 0.0, 50.0, 24.0, 0.0, 0.0, 1.0]}
NAN = np.full(3, np.nan)
STAMP = Header(frame_id="eye").stamp


class Endpoint:
    """A publisher or a subscription."""

    def __init__(self, kind, topic, callback=None):
        self.kind, self.topic, self.callback, self.sent, self.subscribers = kind, topic, callback, [], 0

    def publish(self, message):
        self.sent.append(message)

    def get_subscription_count(self):
        return self.subscribers


class Node:
    """Remembers what it made, and what it was told."""

    def __init__(self, remapped=()):
        self.made, self.lines, self.remapped = {}, [], dict(remapped)

    def create_lifecycle_publisher(self, kind, topic, _qos, **_options):
        return self.made.setdefault(topic, Endpoint(kind, topic))

    def create_subscription(self, kind, topic, callback, _qos, **_options):
        return self.made.setdefault(topic, Endpoint(kind, topic, callback))

    def destroy_lifecycle_publisher(self, publisher):
        del self.made[publisher.topic]

    destroy_subscription = destroy_lifecycle_publisher

    def resolve_topic_name(self, name, only_expand=False):
        return f"/{name}" if only_expand else self.remapped.get(name, f"/{name}")

    def get_logger(self):
        return SimpleNamespace(warning=self.lines.append, info=self.lines.append)


def pose(name="fa", rotation=None, distance=2.0):
    rotation = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]]) if rotation is None else rotation
    known = np.isfinite(rotation).all()
    angles = np.array([0.1, -0.2, 0.3]) if known else NAN
    return FacePose(name, np.array([0.6, 0.0, 0.8]), distance, 0.1, rotation, angles, angles / 10, 0.5)


UNORIENTED = pose("fb", np.full((3, 3), np.nan))


@pytest.fixture
def tf2_msgs(monkeypatch):
    module = SimpleNamespace(TFMessage=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "tf2_msgs", SimpleNamespace(msg=module))
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", module)


@pytest.fixture
def publishers(tf2_msgs):
    node = Node()
    made = poses.PosePublishers(node, "auto")
    for endpoint in node.made.values():
        endpoint.subscribers = 1
    return node, made


def test_every_face_is_in_the_array_and_oriented_ones_are_frames(publishers):
    node, made = publishers
    header = Header(frame_id="eye")
    made.publish(header, [pose(), UNORIENTED])
    (array,), (shown,) = node.made["faces/pose"].sent, node.made["faces/pose_array"].sent
    assert [array.header, shown.header] == [header, header]
    assert [face.id for face in array.faces] == ["fa", "fb"]
    first, second = array.faces
    assert (first.bearing.x, first.bearing.z) == (0.6, 0.8)
    assert (first.distance, first.distance_source) == (2.0, first.DISTANCE_FROM_FACE_SIZE)
    assert (first.yaw, first.pitch, first.roll) == pytest.approx((0.1, -0.2, 0.3))
    assert (first.yaw_stddev, first.facing) == pytest.approx((0.01, 0.5))
    assert math.isnan(second.orientation.w)
    assert math.isnan(second.pitch_stddev)
    assert len(shown.poses) == 1
    assert (shown.poses[0].position.x, shown.poses[0].position.z) == pytest.approx((1.2, 1.6))
    ((face, gaze),) = (message.transforms for message in node.made["/tf"].sent)
    assert (face.header.frame_id, face.child_frame_id) == ("eye", "face_fa")
    assert (gaze.header.frame_id, gaze.child_frame_id) == ("face_fa", "gaze_fa")
    assert (face.transform.translation.x, face.transform.translation.z) == pytest.approx((1.2, 1.6))


def test_the_gaze_frame_is_optical_and_points_where_the_face_does():
    gaze = Rotation.from_quat(GAZE)
    np.testing.assert_allclose(gaze.apply([0, 0, 1]), [1, 0, 0], atol=1e-12)  # along the gaze: out of the face
    np.testing.assert_allclose(gaze.apply([1, 0, 0]), [0, -1, 0], atol=1e-12)  # right: the person's right
    np.testing.assert_allclose(gaze.apply([0, 1, 0]), [0, 0, -1], atol=1e-12)  # down


def test_arrays_are_emptied_once_when_faces_are_gone(publishers):
    node, made = publishers
    made.close_lists(Header())
    assert not node.made["faces/pose"].sent
    made.publish(Header(frame_id="eye"), [pose()])
    for _ in range(2):
        made.close_lists(Header(frame_id="later"))
    assert [len(array.faces) for array in node.made["faces/pose"].sent] == [1, 0]
    assert node.made["faces/pose"].sent[-1].header.frame_id == "later"
    made.close()
    assert not node.made


def test_frames_need_a_parent_and_one_sentence_says_so(publishers):
    node, made = publishers
    for _ in range(2):
        made.publish(Header(), [pose()])
    assert not node.made["/tf"].sent
    assert len(node.lines) == 1
    assert "no frame_id" in node.lines[0]


def test_tf2_msgs_is_needed_only_where_it_is_insisted_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", None)
    node = Node()
    made = poses.PosePublishers(node, "auto")
    assert "/tf" not in node.made
    assert node.lines == ["tf2_msgs is not installed: no frames of faces are broadcast on /tf."]
    made.publish(Header(frame_id="eye"), [pose()])
    assert not node.made["faces/pose"].sent  # nobody subscribes
    node.made["faces/pose"].subscribers = 1
    made.publish(Header(frame_id="eye"), [pose()])
    assert len(node.made["faces/pose"].sent) == 1
    with pytest.raises(UserError, match="tf2_msgs is not installed"):
        poses.PosePublishers(Node(), "always")
    quiet = Node()
    poses.PosePublishers(quiet, "never")
    assert not quiet.lines


def test_only_listeners_of_frames_on_tf_do_not_ask_for_faces(publishers):
    node, made = publishers
    assert made.asked()
    node.made["faces/pose"].subscribers = node.made["faces/pose_array"].subscribers = 0
    assert made.wanted()
    assert not made.asked()
    node.made["/tf"].subscribers = 0
    assert not made.wanted()


def info(frame="eye", **changes):
    message = CameraInfo(header=Header(frame_id=frame))
    for name, value in (INFO | changes).items():
        setattr(message, name, value)
    return message


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(cameras, "PATIENCE", 0.0)


def test_a_calibration_is_matched_by_frame_and_size(impatient):
    node = Node()
    found = cameras.Cameras(node, "/robot/eye/image_raw", "auto")
    found.follow(False)
    assert not node.made
    found.follow(True)
    (subscription,) = node.made.values()
    assert subscription.topic == "/robot/eye/camera_info"
    assert found.camera("eye", 64, 48) is None
    assert "No camera_info received on /robot/eye/camera_info" in found.problem
    subscription.callback(info())
    assert found.camera("eye", 64, 48).matrix[0, 0] == 50
    assert found.problem == ""
    for frame, width in (("nose", 64), ("eye", 128)):
        assert found.camera(frame, width, 48) is None
        assert f"64x48 of frame 'eye', but the images are {width}x48 of frame '{frame}'" in found.problem
    subscription.callback(info("nose"))
    assert found.camera("nose", 64, 48) is not None
    assert found.camera("eye", 64, 48) is not None
    assert len(node.lines) == 3
    found.follow(False)
    assert not node.made
    assert found.problem == ""


def test_a_calibration_that_cannot_be_used_is_named_until_a_good_one_comes(impatient):
    node = Node([("camera_info", "/calibration")])
    found = cameras.Cameras(node, "/image/compressed", "auto")
    found.follow(True)
    subscription = node.made["camera_info"]
    subscription.callback(info(k=[0.0] * 9))
    for _ in range(2):
        assert found.camera("eye", 64, 48) is None
    assert node.lines == [found.problem]
    assert "not calibrated" in found.problem
    subscription.callback(info())
    assert found.camera("eye", 64, 48) is not None


@pytest.mark.parametrize(
    ("topic", "rectified", "expected"),
    [
        ("/eye/image_rect_color", "auto", 40.0),
        ("/eye/image_rect/compressed", "auto", 40.0),
        ("/eye/image_raw", "auto", 50.0),
        ("/eye/image_raw", "always", 40.0),
        ("/eye/image_rect", "never", 50.0),
    ],
)
def test_rectified_images_are_known_by_their_name_or_by_the_parameter(topic, rectified, expected):
    node = Node()
    found = cameras.Cameras(node, topic, rectified)
    found.follow(True)
    node.made["/eye/camera_info"].callback(info(p=[40.0, 0, 32, 0, 0, 40, 24, 0, 0, 0, 1, 0]))
    assert found.camera("eye", 64, 48).matrix[0, 0] == expected


def depth_image(values, encoding="16UC1", seconds=0.0, frame="eye"):
    step = values.shape[1] * values.itemsize + 2
    rows = np.zeros((values.shape[0], step), np.uint8)
    rows[:, :-2] = values.view(np.uint8).reshape(values.shape[0], -1)
    message = Image(width=values.shape[1], height=values.shape[0], encoding=encoding, step=step, data=rows.tobytes())
    message.header.frame_id, message.header.stamp.nanosec = frame, round(seconds * 1e9)
    return message


def test_the_depth_image_of_the_same_moment_is_used_in_metres():
    node = Node()
    depths = DepthImages(node)
    depths.follow(True)
    heard, header = node.made["depth"].callback, Header(frame_id="eye")
    assert depths.at(header) is None
    assert "No depth image received" in node.lines[-1]
    for seconds, value in ((0.4, 1), (0.02, 1500), (0.08, 2)):
        heard(depth_image(np.full((3, 4), value, np.uint16), seconds=seconds))
    np.testing.assert_allclose(depths.at(header), np.full((3, 4), 1.5))
    heard(depth_image(np.full((3, 4), 2.5, np.float32), "32FC1"))
    np.testing.assert_allclose(depths.at(header), np.full((3, 4), 2.5))
    for message, reason in (
        (depth_image(np.zeros((3, 4), np.uint16), "8UC1"), "encoding 8UC1"),
        (depth_image(np.zeros((3, 4), np.uint16), frame="depth"), "register the depth"),
    ):
        depths.close()
        heard(message)
        assert depths.at(header) is None
        assert reason in node.lines[-1]


def test_nothing_is_computed_while_nobody_subscribes():
    """With stand-ins that have nothing to compute with."""
    wanted = SimpleNamespace(poses=SimpleNamespace(wanted=lambda: False, asked=lambda: False))
    settings = SimpleNamespace(pose=SimpleNamespace(rectified="auto", depth=True))
    node = Node()
    places = Places(node, SimpleNamespace(outputs=wanted, settings=settings), "/image")
    places.follow()
    places.publish(Header(), (64, 48), [None])
    assert not node.made
    assert places.problem == ""
