"""A node of the outside world for tests: does what lines of JSON on stdin ask, and writes what it hears as JSON.

`{"do": "listen", "topic": …, "kind": "pkg/Type"}`, `{"do": "publish", "topic": …, "kind": …, "fields": {…}}` (waits for
a subscriber), `{"do": "advertise", "topic": …, "kind": …}`,
`{"do": "call", "service": …, "kind": …, "fields": {…}, "tag": …}`.
"""

import importlib
import json
import sys
import threading
import time
from base64 import b64decode

import rclpy
from plain_messages import fill, plain
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

DEADLINE = 100.0


def interface(kind, name):
    package, _, short = name.partition("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), short)


def say(**event):
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


class Peer(Node):
    def __init__(self):
        super().__init__(f"peer_{time.monotonic_ns()}")
        self.publishers_by_topic, self.clients_by_name, self.heard = {}, {}, []

    def do(self, order):
        getattr(self, f"do_{order.pop('do')}")(**order)

    def do_listen(self, topic, kind, best_effort=False, latched=False):
        reliability = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        subscription = self.create_subscription(
            interface("msg", kind),
            topic,
            lambda message: say(event=topic, at=time.monotonic(), message=plain(message)),
            QoSProfile(depth=100, reliability=reliability, durability=durability),
        )
        self.heard.append(subscription)
        say(event="listening", topic=topic)

    def do_advertise(self, topic, kind):
        if topic not in self.publishers_by_topic:
            publisher = self.create_publisher(interface("msg", kind), topic, QoSProfile(depth=10))
            self.publishers_by_topic[topic] = publisher

    def do_publish(self, topic, kind, fields, times=1, period=0.0):
        self.do_advertise(topic, kind)
        message_type, publisher = interface("msg", kind), self.publishers_by_topic[topic]
        deadline = time.monotonic() + DEADLINE
        while not publisher.get_subscription_count() and time.monotonic() < deadline:
            time.sleep(0.02)
        data = fields.pop("data_base64", None)
        message = fill(message_type(), fields)
        if data is not None:
            message.data = b64decode(data)
        for _ in range(times):
            publisher.publish(message)
            if times > 1:
                time.sleep(period)
                nanoseconds = message.header.stamp.nanosec + round(period * 1e9)
                message.header.stamp.sec += nanoseconds // 10**9
                message.header.stamp.nanosec = nanoseconds % 10**9
        say(event="published", topic=topic)

    def do_call(self, service, kind, fields, tag):
        service_type = interface("srv", kind)
        if service not in self.clients_by_name:
            self.clients_by_name[service] = self.create_client(service_type, service)
        client = self.clients_by_name[service]
        if not client.wait_for_service(DEADLINE):
            say(event="answer", tag=tag, message=None)
            return
        future = client.call_async(fill(service_type.Request(), fields))
        future.add_done_callback(lambda done: say(event="answer", tag=tag, message=plain(done.result())))

    def do_count(self, topic, tag):
        say(event="answer", tag=tag, message=[self.count_publishers(topic), self.count_subscribers(topic)])

    def do_reliability(self, topic, tag):
        found = self.get_subscriptions_info_by_topic(topic)
        say(event="answer", tag=tag, message=[info.qos_profile.reliability.name for info in found])


def main():
    rclpy.init()
    peer = Peer()
    threading.Thread(target=lambda: rclpy.spin(peer), daemon=True).start()
    say(event="ready")
    for line in sys.stdin:
        peer.do(json.loads(line))


if __name__ == "__main__":
    main()
