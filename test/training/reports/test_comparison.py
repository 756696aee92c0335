import json
from dataclasses import replace

import numpy as np
import pytest
from facial_attributes_training.fit.run import train
from facial_attributes_training.measure.paired import Measure, Outcomes, measure, per_task, read_outcomes
from facial_attributes_training.recipe.file import read_recipe
from facial_attributes_training.reports.comparison import write_comparison
from facial_attributes_training.reports.finished_runs import Failure, FinishedRun, finished_run, run_all, rungs

from facial_attributes_ros.cli.main import main

from ..conftest import copied


def trained(recipe):
    return train(recipe, True)


@pytest.fixture
def recipes(tmp_path, make_recipe):
    """Return three recipes: one of two tasks, one that can not be trained, and one that a new network suits."""
    paths = []
    broken = {"data": {"train": [{"manifest": "gone.csv"}], "validation": [{"manifest": "gone.csv"}]}}
    for name, changes in (("full", {}), ("broken", broken), ("heads", {"adaptation": "lp"})):
        paths.append(tmp_path / f"{name}.yaml")
        recipe = make_recipe(name, epochs=1, **changes).model_copy(update={"name": name})
        paths[-1].write_text(recipe.model_dump_json())
    return paths


def test_runs_are_trained_or_read_and_a_failure_takes_only_itself(tmp_path, recipes):
    full, broken, heads = recipes
    runs = tmp_path / "runs"
    found = [
        *run_all([full], trained, ["seed=5"], runs, single=True),
        *run_all([broken, heads, tmp_path], trained, ["seed=5"], runs),
    ]
    names = [entry.name if isinstance(entry, Failure) else entry.recipe.name for entry in found]
    assert names == ["full", "full-gender", "full-emotion", "broken", "heads", str(tmp_path)]
    failures = [entry for entry in found if isinstance(entry, Failure)]
    assert "gone.csv" in failures[0].reason
    assert "not the folder of a run" in failures[1].reason
    runs = [entry for entry in found if isinstance(entry, FinishedRun)]
    assert [run.recipe.seed for run in runs] == [5] * len(runs)
    assert runs[1].recipe.tasks == ("gender",)
    assert runs[1].recipe.sampler.epoch_rows == 24
    assert [rung.title for rung in rungs(runs)] == ["ft-1, multi-task", "ft-1, single-task", "lp, multi-task"]
    several, alone, _ = rungs(runs)
    assert alone.counts[0] > 1.5 * several.counts[0]

    report = write_comparison(tmp_path / "out", runs, failures, "facial-attributes compare")
    text = report.read_text()
    titles = ("Single-task against multi-task", "From one adaptation to the next", "Cost", "Budget", "Runs that failed")
    for title in titles:
        assert f"## {title}" in text
    assert "lp minus ft-1" in text
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "data:image/png;base64," in page
    figures = json.loads((tmp_path / "out" / "comparison.json").read_text())
    outcomes = read_outcomes(tmp_path / "runs" / "full" / "predictions.csv")
    right = (outcomes.truth["gender"] == outcomes.predicted["gender"]).mean()
    assert figures[0]["accuracy"]["made-up"]["gender"]["value"] == pytest.approx(right)

    (refused,) = run_all([full], trained, ["seed=6"], tmp_path / "runs")
    assert "another recipe (another seed)" in refused.reason
    read = list(run_all([tmp_path / "runs" / "full"], lambda recipe: pytest.fail("it is trained already")))
    assert read[0].outcomes.rows == runs[0].outcomes.rows


def test_the_command_line_writes_the_finished_runs_and_reports_failures(tmp_path, recipes, capsys):
    out = tmp_path / "out"
    arguments = ["compare", str(recipes[2]), str(recipes[1]), "--out", str(out), "--set", "tasks=[gender]"]
    assert main(arguments) == 1
    assert "broken failed" in capsys.readouterr().err
    text = (out / "comparison.md").read_text()
    assert "lp, single-task" in text
    assert "| heads | gender | all | 1 | 24 |" in text


def outcomes(truth, predicted, source="s"):
    rows = [(source, f"{index}") for index in range(len(truth))]
    return Outcomes(rows, {"gender": np.array(truth)}, {"gender": np.array(predicted)})


def test_a_difference_of_paired_runs_is_surer_than_the_runs_themselves():
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 400)
    first = np.where(random.random(400) < 0.7, truth, 1 - truth)
    second = first.copy()
    wrong = np.flatnonzero(first != truth)[:12]
    second[wrong] = truth[wrong]
    found = measure([outcomes(truth, first), outcomes(truth, second)])
    one, two = (figures["s", "gender"] for figures in found)
    difference = (two - one).estimate
    assert difference.value == pytest.approx(12 / 400)
    assert 0 < difference.low < difference.value < difference.high
    # Taken apart, the intervals overlap.
    assert one.estimate.high > two.estimate.low


def test_runs_on_different_samples_have_no_difference():
    whole = outcomes([0, 1, 0, 1], [0, 1, 1, 1])
    fewer = outcomes([0, 1, -1, 1], [0, 1, 1, 1])
    one, two = (per_task(figures)["gender"] for figures in measure([whole, fewer]))
    with pytest.raises(ValueError, match="different samples"):
        one - two


def test_runs_of_one_adaptation_have_different_titles(tmp_path, make_recipe):
    recipe = make_recipe("a", epochs=1, tasks=["gender"], adaptation="lp")
    train(recipe)
    runs = [finished_run(run, pytest.fail) for run in (recipe, copied(recipe, tmp_path / "b"))]
    # Two folders of the same recipe differ in nothing but their place.
    assert [rung.title for rung in rungs(runs)] == [f"{tmp_path / name}: lp, single-task" for name in "ab"]
    other = replace(runs[1], recipe=runs[1].recipe.model_copy(update={"name": "other"}))
    named = [runs[0], other]
    assert [rung.title for rung in rungs(named)] == ["tiny: lp, single-task", "other: lp, single-task"]
    truth = runs[1].outcomes.truth["gender"]
    half = replace(runs[1].outcomes, truth={"gender": np.where(np.arange(len(truth)) < 6, truth, -1)})
    several = [replace(run, recipe=run.recipe.model_copy(update={"tasks": ("gender", "age")})) for run in named]
    text = write_comparison(tmp_path / "out", [several[0], replace(several[1], outcomes=half)], [], "").read_text()
    assert "| other: lp minus tiny: lp |  | other samples |" in text


def test_a_face_is_known_in_runs_of_any_depth(tmp_path):
    rows = []
    for folder, path in (("a", "../faces/1.png"), ("b/c", "../../faces/1.png")):
        file = tmp_path / folder / "predictions.csv"
        file.parent.mkdir(parents=True)
        file.write_text(f"path,source,gender,predicted_gender\n{path},s,male,male\n")
        rows.append(read_outcomes(file).rows)
    assert rows[0] == rows[1]


def test_balanced_accuracy_and_means_over_data_sets():
    first = outcomes([0, 0, 0, 1, -1], [0, 0, 0, 0, 1])
    assert measure([first])[0]["s", "gender"].value == pytest.approx(0.75)
    assert measure([first], balanced=True)[0]["s", "gender"].value == pytest.approx(0.5)
    figures = {
        ("a", "age"): Measure(0.5, np.array([0.4, 0.6]), "a"),
        ("b", "age"): Measure(0.7, np.array([0.8, 0.6]), "b"),
    }
    mean = per_task(figures)["age"]
    assert (mean.value, mean.draws.tolist()) == (pytest.approx(0.6), pytest.approx([0.6, 0.6]))


def test_the_recipes_of_the_ladder_differ_in_nothing_but_the_adaptation(pytestconfig):
    recipes = [read_recipe(path) for path in sorted((pytestconfig.rootpath / "config/recipes/ladder").glob("*.yaml"))]
    names = [recipe.adaptation["name"] for recipe in recipes]
    assert names == ["lp", "ft-4", "lora", "mtlora"]
    same = [recipe.model_dump(exclude={"name", "output", "adaptation", "cache"}) for recipe in recipes]
    assert all(values == same[0] for values in same)


def test_the_command_line_trains_and_refuses(tmp_path, make_recipe, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(make_recipe("run", epochs=1, adaptation="lp").model_dump_json())
    assert main(["train", str(recipe), "--set", "seed=5"]) == 0
    assert "The model is in" in capsys.readouterr().out
    assert (tmp_path / "run" / "stage" / "distribution.csv").is_file()
    assert list((tmp_path / "run" / "stage" / "tensorboard").iterdir())
    assert main(["train", str(recipe)]) == 2
    assert "--resume" in capsys.readouterr().err
