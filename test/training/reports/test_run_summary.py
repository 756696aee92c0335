import csv

import numpy as np
import pytest
from facial_attributes_training.fit.checkpointing import Progress
from facial_attributes_training.fit.run_folder import STEPS_FILE
from facial_attributes_training.fit.step_log import StepLog, read_steps
from facial_attributes_training.reports.plots import distribution_figure
from facial_attributes_training.reports.run import write_run_report


def test_a_run_leaves_a_report_with_its_plots(finished):
    recipe, text = finished, (finished.folder / "report.md").read_text()
    assert "held-out samples, which nothing was chosen or fitted on" in text
    for name in ("losses", "distribution", "speed"):
        assert f"(plots/stage-{name}.png)" in text
        assert (recipe.folder / "plots" / f"stage-{name}.png").stat().st_size > 10_000
    assert (recipe.folder / "report.html").read_text().count("data:image/png;base64,") == 3
    with (recipe.folder / "stage" / "distribution.csv").open() as file:
        surprise = next(row for row in csv.DictReader(file) if row["label"] == "surprise")
    assert f"| emotion surprise | {surprise['rows']} |" in text
    assert "| made-up | gender |" in text


def test_what_does_not_exist_yet_is_not_in_the_report(make_recipe):
    page = write_run_report(make_recipe("nothing"), ["Careful."])
    assert "<strong>Careful.</strong>" in page.read_text()
    assert "<img" not in page.read_text()


def test_the_step_log_means_over_steps_and_forgets_what_was_done_twice(tmp_path):
    log = StepLog(tmp_path, every=2)
    for step in range(1, 6):
        log.add(Progress(steps=step), {"age": float(step)}, rows=8, waited=0.1, worked=0.3)
    log.flush(Progress(steps=5))
    again = StepLog(tmp_path, every=2)
    for step in (3, 4):
        again.add(Progress(steps=step), {"age": 0.0}, rows=8, waited=0.0, worked=0.1)
    with (tmp_path / STEPS_FILE).open("a") as file:
        file.write("6,0,0.1")
    steps = read_steps(tmp_path)
    assert steps["step"] == [2, 4, 5]
    assert steps["loss_age"] == [1.5, 0, 5]
    assert steps["data_seconds"] == pytest.approx([0.1, 0, 0.1])
    assert steps["rows_per_second"] == pytest.approx([20, 80, 20])


def test_the_bars_are_the_proportions_of_the_classes():
    table = [
        {"task": "gender", "label": label, "rows": "10", "share": share, "drawn": "5", "drawn_share": "0.5"}
        for label, share in (("male", "0.8"), ("female", "0.2"))
    ]
    axes = distribution_figure(table, "").axes[0]
    assert np.array([bar.get_height() for bar in axes.patches]) == pytest.approx([80, 20, 50, 50])
