"""What is loaded follows the parameters."""

from types import SimpleNamespace

import pytest

from facial_attributes_ros.ros.loading import Stages
from facial_attributes_ros.ros.perception import configured
from facial_attributes_ros.ros.perception.settings import SETTINGS, settings_from

DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


@pytest.mark.parametrize(
    ("off", "has", "warmed"),
    [
        ((), ("age", "gender", "emotion"), ["age", "gender", "emotion"]),
        (("tasks.emotion",), ("age", "gender", "emotion"), ["age", "gender"]),
        (("tasks.age",), ("age", "emotion"), ["emotion"]),
        (("tasks.age", "tasks.gender", "tasks.emotion"), ("age", "gender", "emotion"), []),
    ],
)
def test_a_task_that_is_off_or_that_the_model_lacks_is_not_warmed_up(monkeypatch, off, has, warmed):
    asked = []
    engine = SimpleNamespace(spec=SimpleNamespace(name="x", tasks=has), warm_up=lambda _, tasks: asked.append(tasks))
    monkeypatch.setattr(configured, "load_engine", lambda *_: engine)
    monkeypatch.setattr(configured, "load_detector", lambda *_, **__: SimpleNamespace(detect=lambda _: []))
    configured.load(settings_from(DEFAULTS | dict.fromkeys(off, False)), Stages())
    assert asked == [warmed]
