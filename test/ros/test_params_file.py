"""For which nodes a params file is: the same that rclpy says, and a sentence where it says nothing."""

import pytest

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.arguments import named_nodes, own_arguments, params_files
from facial_attributes_ros.ros.params_file import check_params_file

NAMES = (
    "/**",
    "/*",
    "/*/*",
    "/**/perception",
    "/**/perc",
    "/*/perception",
    "perception",
    "/perception",
    "robot/perception",
    "/robot/perception",
    "/robot/**",
    "/robot/*",
    "/robot",
    "/**/eyes",
)
NODES = ("/perception", "/robot/perception", "/robot/head/eyes")


@pytest.fixture
def file(tmp_path):
    def written(text):
        (tmp_path / "given.yaml").write_text(text)
        return tmp_path / "given.yaml"

    return written


def is_for(path, node):
    try:
        check_params_file(path, node)
    except UserError as error:
        return f"holds nothing for the node {node}, only for " not in str(error)
    return True


@pytest.mark.parametrize("node", NODES)
def test_a_file_is_for_the_nodes_that_rclpy_gives_it_to(ros_context, file, node):
    from rclpy.node import Node

    namespace, _, name = node.rpartition("/")
    text = "".join(f"{key}: {{ros__parameters: {{number{index}: 1}}}}\n" for index, key in enumerate(NAMES))
    context = ros_context("--params-file", str(file(text)))
    taken = Node(name, namespace=namespace, context=context)._parameter_overrides
    expected = {key for index, key in enumerate(NAMES) if f"number{index}" in taken}
    assert "/**" in expected
    assert {key for key in NAMES if is_for(file(f"{key}: {{ros__parameters: {{number: 1}}}}"), node)} == expected


def test_names_may_be_written_as_a_tree(file):
    path = file("/**: {perception: {ros__parameters: {a: 1}}}\nrobot: {head: {eyes: {ros__parameters: {}}}}\n")
    assert [is_for(path, node) for node in (*NODES, "/ears")] == [True, True, True, False]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no '/"),
        ("one word", "has no '/"),
        ("- a\n- b", "has no '/"),
        ("tasks: {emotion: false}", "has no '/"),
        ("ros__parameters: {tasks: {emotion: false}}", "has no '/"),
        ("/**: [1", "is not YAML"),
        ("a: &a {b: *a}", "is not YAML"),
    ],
)
def test_a_file_of_another_form_is_refused_with_a_sentence(file, text, reason):
    with pytest.raises(UserError, match=f"parameter file .*given.yaml {reason}"):
        check_params_file(file(text), "/perception")


def test_a_file_that_cannot_be_read_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"no\.yaml cannot be read: No such file"):
        check_params_file(tmp_path / "no.yaml", "/perception")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        check_params_file(tmp_path, "/perception")
    (tmp_path / "bytes.yaml").write_bytes(b"/**: \xff")
    with pytest.raises(UserError, match="is not YAML"):
        check_params_file(tmp_path / "bytes.yaml", "/perception")


def test_ros_arguments_are_told_from_the_others():
    argv = [
        "--a",
        "--ros-args",
        "--params-file",
        "x.yaml",
        "-p",
        "b:=1",
        "--",
        "--c",
        "--ros-args",
        "--params-file",
        "y",
    ]
    assert own_arguments(argv) == ["--a", "--c"]
    assert [str(path) for path in params_files(argv)] == ["x.yaml", "y"]
    assert params_files(["--params-file", "x.yaml", "--ros-args", "--params-file"]) == []


def test_parameters_for_a_node_of_another_name_are_seen():
    rules = ["-p", "a:=b:c", "-p", "eyes:tasks.age:=false", "--param", "/robot/eyes:x:=1", "-p", "url:='http://a:=b'"]
    assert named_nodes(["-p", "no:x:=1", "--ros-args", *rules]) == ["eyes", "/robot/eyes"]
