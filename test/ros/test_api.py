"""docs/api.md says what the node offers: topics with their quality of service, services, and every diagnostic."""

import ast
import re
from pathlib import Path

import pytest

from facial_attributes_ros.ros.perception import health

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
OF_EVERY_NODE = ("/parameter_events", "/rosout", "/perception/transition_event", "/humans/")


def rows(heading):
    """The rows of the table below a heading, each as its cells."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[1:]
    return [[cell.strip() for cell in line.split(" | ")] for line in lines]


@pytest.fixture(scope="module")
def node(domain):
    """A node with all its publishers and services, whose model is a stand-in; nobody spins it."""
    rclpy = pytest.importorskip("rclpy")

    from facial_attributes_ros.models.registry import model_folder
    from facial_attributes_ros.models.spec import ModelSpec
    from facial_attributes_ros.ros.perception.info import InfoPublisher
    from facial_attributes_ros.ros.perception.node import Perception
    from facial_attributes_ros.ros.perception.outputs import Outputs

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = Perception(context=context)
    settings = node._table.read()
    outputs = Outputs.open(node, settings, "small")
    info = InfoPublisher(node, ModelSpec.identified(model_folder("small")), settings)
    yield node
    info.close()
    outputs.close()
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_every_published_topic_is_in_the_page_with_its_type_and_quality_of_service(node):
    listed = {}
    for topics, kinds, qos, *_ in rows("Published topics"):
        for topic, kind in zip(re.findall(r"`(.+?)`", topics), re.findall(r"`(.+?)`", kinds), strict=True):
            listed[node.resolve_topic_name(topic) if "<" not in topic and "..." not in topic else topic] = (kind, qos)
    for publisher in node.publishers:
        if publisher.topic_name.startswith(OF_EVERY_NODE):
            continue
        kind, qos = listed[publisher.topic_name]
        module = publisher.msg_type.__module__.split(".")[0]
        short = publisher.msg_type.__name__
        assert kind == (short if module == "facial_attributes_ros" else f"{module}/{short}"), publisher.topic_name
        profile = publisher.qos_profile
        latched = "latched, " if profile.durability.name == "TRANSIENT_LOCAL" else ""
        assert qos == f"{profile.reliability.name.lower()}, {latched}{profile.depth}", publisher.topic_name


def test_every_service_of_ours_is_in_the_page(node):
    ours = {
        (service.srv_name.replace("/perception/", "~/"), service.srv_type.__name__)
        for service in node.services
        if service.srv_type.__module__.startswith("facial_attributes_ros")
    }
    assert {tuple(re.findall(r"`(.+?)`", " ".join(row[:2]))) for row in rows("Services")} == ours


def findings():
    """The beginning of every sentence that a rule of the diagnostics has, up to its first value."""
    for node in ast.walk(ast.parse(Path(health.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            level, sentence = node.elts
            if isinstance(level, ast.Name | ast.IfExp) and isinstance(sentence, ast.Constant | ast.JoinedStr):
                parts = [sentence] if isinstance(sentence, ast.Constant) else sentence.values
                yield " … ".join(str(part.value).strip() for part in parts if isinstance(part, ast.Constant))


def test_every_diagnostic_and_its_cure_are_in_the_page():
    table = [re.sub(r"\W+", " ", " ".join(row)) for row in rows("Diagnostics")]
    found = list(findings())
    assert len(found) > 8
    for sentence in found:
        words = re.sub(r"\W+", " ", sentence).split()[:4]
        if words[:3] == ["The", "node", "is"]:
            continue  # of a node at rest, which is well
        assert any(set(words) <= set(line.split()) for line in table), sentence


def test_every_message_and_service_has_a_file_and_the_other_way_round():
    named = set(re.findall(r"`(\w+)`", " ".join(row[1] for row in rows("Services"))))
    assert named == {file.stem for file in (ROOT / "srv").glob("*.srv")}
