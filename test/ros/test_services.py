"""The services: each answers with a sentence, and the camera is not lost."""

from base64 import b64decode

CLEANUP, DEACTIVATE = 2, 4


def ask(peer, name, kind, **fields):
    """The answer of a service of the node: whether it was done, and the sentence."""
    answer = peer.ask("call", service=f"/perception/{name}", kind=f"facial_attributes_ros/{kind}", fields=fields)
    return answer["success"], answer["message"], answer


def model_of(array):
    return array["model"], [face["id"] for face in array["faces"]]


def test_every_service_does_what_it_says_and_says_it(graph, image):
    node, camera, listener = graph.running("--ros-args", "-p", "rep155:=never")
    assert model_of(camera.send(listener, image(faces=2, stamp=(1, 0)))) == ("small", ["f0", "f1"])

    # Another model, while images go on; one that fails leaves the first in use.
    done, said, _ = ask(camera, "set_model", "SetModel", model="broken")
    assert (done, said.endswith("have a wrong hash; fetch them again. The node keeps the model small.")) == (
        False,
        True,
    )
    done, said, _ = ask(camera, "set_model", "SetModel", model="bug")
    assert not done
    assert "cannot be loaded (RuntimeError: a layer has another shape). The node keeps the model small." in said
    assert camera.send(listener, image(faces=1, stamp=(2, 0)))["model"] == "small"
    assert ask(camera, "set_model", "SetModel", model="large")[:2] == (True, "The model is large, no longer small.")
    assert camera.send(listener, image(faces=1, stamp=(3, 0)))["model"] == "large"
    assert camera.state() == "active"
    assert "~/set_model" in camera.set_parameter("model", "small")["reason"]
    assert camera.set_parameter("model", "large")["successful"], "it is the value by now"
    assert not ask(camera, "set_model", "SetModel", model=" ")[0]

    # One image.
    done, said, answer = ask(camera, "estimate_faces", "EstimateFaces", image=pixels(image(faces=3, stamp=(7, 5))))
    assert (done, said) == (True, "Faces in the image: 3.")
    faces = answer["faces"]
    assert (faces["model"], faces["image_width"], faces["header"]["stamp"]) == ("large", 64, {"sec": 7, "nanosec": 5})
    assert [face["updated"] for face in faces["faces"]] == [{"sec": 7, "nanosec": 5}] * 3
    assert ask(camera, "estimate_faces", "EstimateFaces")[:2] == (
        False,
        "The request holds no image: fill image or compressed.",
    )
    wrong = pixels(image()) | {"step": 1}
    assert ask(camera, "estimate_faces", "EstimateFaces", image=wrong)[1].startswith("The image is invalid:")

    # Everyone is forgotten, and the list says so.
    assert ask(camera, "forget_faces", "ForgetFaces")[0]
    node.wait_for_text("reset")
    listener.hear("faces", lambda arrays: arrays[-1]["faces"] == [], "an empty array")

    # Off and on, with everything loaded.
    assert ask(camera, "set_enabled", "SetEnabled", enabled=True)[:2] == (True, "The node is active already.")
    assert ask(camera, "set_enabled", "SetEnabled", enabled=False)[0]
    assert camera.state() == "inactive"
    assert ask(camera, "estimate_faces", "EstimateFaces", image=pixels(image(faces=1)))[0], "the model is still loaded"
    assert ask(camera, "set_enabled", "SetEnabled", enabled=True)[0]
    assert camera.state() == "active"

    # Without a model nothing is done, and the reason is said.
    camera.transition(DEACTIVATE)
    camera.transition(CLEANUP)
    for name, kind in (("forget_faces", "ForgetFaces"), ("estimate_faces", "EstimateFaces"), ("set_model", "SetModel")):
        done, said, _ = ask(camera, name, kind)
        assert (done, "The node is unconfigured and has no model" in said) == (False, True)
    assert "has to be configured first" in ask(camera, "set_enabled", "SetEnabled", enabled=True)[1]


def pixels(fields):
    """An image as fields of a request: its bytes as a list."""
    data = list(b64decode(fields["data_base64"]))
    return {name: value for name, value in fields.items() if name != "data_base64"} | {"data": data}
