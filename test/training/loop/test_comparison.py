import json

import pytest
from facial_attributes_training.comparison import finished_run, write_comparison
from facial_attributes_training.run import train

from facial_attributes_ros.cli.main import main
from facial_attributes_ros.errors import UserError


def test_runs_are_read_or_trained_and_put_side_by_side(tmp_path, make_recipe):
    done = make_recipe("done", epochs=1)
    train(done)
    recipe = tmp_path / "new.yaml"
    recipe.write_text(make_recipe("new", epochs=1, adaptation="lp", tasks=["gender"]).model_dump_json())
    runs = [finished_run(done.folder, train), finished_run(recipe, train)]
    report = write_comparison(tmp_path / "out", runs, "facial-attributes compare")
    text = report.read_text()
    assert "tiny: ft-1, multi-task" in text
    assert "tiny: lp, single-task" in text
    figures = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert figures[0]["counts"]["trained"] > figures[1]["counts"]["trained"]
    accuracy = figures[1]["metrics"]["made-up"]["gender"]["accuracy"]
    assert f"{100 * accuracy:.1f} [" in text


def test_a_folder_that_is_no_run_is_told(tmp_path):
    with pytest.raises(UserError, match=r"not the folder of a run"):
        finished_run(tmp_path, train)


def test_the_command_line_trains_and_refuses(tmp_path, make_recipe, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(make_recipe("run", epochs=1, adaptation="lp").model_dump_json())
    assert main(["train", str(recipe), "--set", "seed=5"]) == 0
    assert "The model is in" in capsys.readouterr().out
    assert (tmp_path / "run" / "stage" / "distribution.csv").is_file()
    assert list((tmp_path / "run" / "stage" / "tensorboard").iterdir())
    assert main(["train", str(recipe)]) == 2
    assert "--resume" in capsys.readouterr().err
