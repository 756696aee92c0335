"""A camera and a perception node for the viewer: grey images with faces at fixed places, from the standard input.

A line `{"faces": N, "camera": true, "perception": true}` says what is published from then on; 15 times a second.
"""

import json
import sys
import threading
import time

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from facial_attributes_ros.msg import FaceAttributesArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import Image

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, Detection, Distribution, FaceAttributes
from facial_attributes_ros.ros.conversion import bgr_fields
from facial_attributes_ros.ros.messages import faces_message

SIZE = 320, 240


def face(number, count):
    """One of some faces; the emotion of every second one is unknown."""

    def of(task, chosen, threshold=0.0):
        probabilities = np.full(len(LABELS[task]), 0.3 / (len(LABELS[task]) - 1), np.float32)
        probabilities[chosen] = 0.7
        return Distribution(task, probabilities, threshold)

    row, column = divmod(number, 3 if count <= 6 else 6)
    step = (100, 105) if count <= 6 else (50, 54)
    box = np.array([20 + step[0] * column, 20 + step[1] * row, 20, 26], np.float32)
    emotion = of(EMOTION, 3, 0.9 if number % 2 else 0.0)
    return FaceAttributes(f"f{number}", Detection(box, 0.9), 31.5, 6.0, of(AGE, 4), of(GENDER, 1), emotion, 9, 0.0)


def main():
    rclpy.init()
    order = {"faces": 1, "camera": True, "perception": True}
    camera, perception = Node("camera"), Node("perception")
    images = camera.create_publisher(Image, "image", qos_profile_sensor_data)
    faces = perception.create_publisher(FaceAttributesArray, "faces", QoSProfile(depth=10))
    health = perception.create_publisher(DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
    perception.create_subscription(Image, "image", lambda _: None, qos_profile_sensor_data)

    def listen():
        for line in sys.stdin:
            order.update(json.loads(line))

    threading.Thread(target=listen, daemon=True).start()
    picture = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
    values = [KeyValue(key="state", value="active"), KeyValue(key="input rate Hz", value="15.0")]
    for tick in range(10**9):
        message = Image(**bgr_fields(picture))
        message.header.stamp = camera.get_clock().now().to_msg()
        if order["camera"]:
            images.publish(message)
        if order["perception"]:
            found = [face(number, order["faces"]) for number in range(order["faces"])]
            faces.publish(faces_message("small", message.header, SIZE, found))
            if tick % 8 == 0:
                status = DiagnosticStatus(level=b"\0", name="/perception: attributes", message="fine", values=values)
                health.publish(DiagnosticArray(status=[status]))
        rclpy.spin_once(perception, timeout_sec=0)
        time.sleep(1 / 15)


if __name__ == "__main__":
    main()
