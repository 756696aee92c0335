"""The model card: its text, its images, and the check of its figures."""

import copy
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from facial_attributes_training.data.manifest import Manifest, Row, read_manifest
from facial_attributes_training.data.sampling import spread_subset
from facial_attributes_training.measure.corruptions import corruptions
from facial_attributes_training.measure.evaluation import evaluate
from facial_attributes_training.measure.predictions import Predictions, predict_manifest
from facial_attributes_training.measure.robustness import CLEAN, Condition, Figures
from facial_attributes_training.reports.card.check import differences, most_lost
from facial_attributes_training.reports.card.images import card_images, drawn_face
from facial_attributes_training.reports.card.sources import SAMPLE, Sources, read_json
from facial_attributes_training.reports.card.text import card_text, card_values, write_card
from facial_attributes_training.reports.evaluation import Run, to_json

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.spec import ModelSpec

ROOT = Path(__file__).resolve().parents[4]
MEASURED = ROOT / "docs" / "models" / "small"
MANIFEST = ROOT / "work" / "faces" / "manifest-val.csv"
SPEC = ModelSpec(
    "m", BackboneReference("none"), 16, (0.5,) * 3, (0.5,) * 3, thresholds={AGE: 0.0, GENDER: 0.8, EMOTION: 0.5}
)


@pytest.fixture(scope="module")
def evaluation() -> dict[str, Any]:
    """Predictions that are often correct, of samples as in the real validation set."""
    random = np.random.default_rng(0)
    rows, sets = [], [("fairface", "", 240), ("appareal", "", 60), ("affectnet", "affectnet", 120)]
    for source, origin, count in [*sets, ("affectnet", "ffhq", 60)]:
        for number in range(count):
            labels = {AGE: random.choice(LABELS[AGE]), GENDER: random.choice(LABELS[GENDER])}
            if source == "affectnet":
                labels = {EMOTION: random.choice(LABELS[EMOTION])}
            years = float(random.integers(1, 80)) if source == "appareal" else None
            kept = {} if years is not None else {task: str(label) for task, label in labels.items()}
            extra = {"origin": origin, "ethnicity": str(random.choice(["A", "B"])) if source == "fairface" else ""}
            rows.append(Row(f"{source}{origin}{number}.jpg", "val", source, kept, years, None, extra))
    manifest = Manifest.from_rows(rows)
    logits = {
        task: (
            np.eye(len(names))[np.maximum(manifest.labels[task], 0)] * 2 + random.normal(size=(len(rows), len(names)))
        ).astype(np.float32)
        for task, names in LABELS.items()
    }
    found = evaluate(Predictions(manifest, logits, []), SPEC, fit=True)
    figures = {
        name: {
            task: Figures(r.rows, r.accuracy, r.balanced_accuracy, r.years.mae if r.years else None)
            for task, r in t.items()
        }
        for name, t in found.results.items()
    }
    conditions = [
        Condition(CLEAN, "", figures),
        *(Condition(kind.kind, kind.label, figures) for kind in corruptions()),
    ]
    run = Run("m", "onnx on cpu", ("m.csv",), "", "box", "facial-attributes evaluate --model m")
    document: dict[str, Any] = json.loads(json.dumps(to_json(found, run, conditions), allow_nan=False))
    return document


def sources(evaluation: dict[str, Any], **changes: Any) -> Sources:
    found = Sources(SPEC, evaluation, None, {}, "")
    return replace(found, **changes)


def test_the_shipped_template_names_only_what_there_is(evaluation: dict[str, Any]) -> None:
    text = write_card(MEASURED / "card.md.in", sources(evaluation))
    assert "{{" not in text
    assert "facial-attributes evaluate --model m" in text
    with pytest.raises(UserError, match="'nothing'"):
        card_text("{{ nothing }}", sources(evaluation))


def test_every_figure_is_the_measured_one(evaluation: dict[str, Any]) -> None:
    values = card_values(sources(evaluation))
    result = evaluation["results"]["affectnet-from-affectnet"][EMOTION]
    balanced = result["balanced_accuracy"]
    written = f"{100 * balanced['value']:.1f} [{100 * balanced['low']:.1f}, {100 * balanced['high']:.1f}]"
    line = next(line for line in values["main_table"].splitlines() if "affectnet-from-affectnet" in line)
    assert [cell.strip() for cell in line.split("|")][2:4] == ["affectnet-from-affectnet", str(result["rows"])]
    assert written in line
    assert values["rows"] == "480"
    # Emotions are of one data set only, so there is no line of all.
    assert not [line for line in values["main_table"].splitlines() if "emotion | all" in line]
    assert [line for line in values["main_table"].splitlines() if "age | all" in line]


def test_the_weakest_group_is_listed(evaluation: dict[str, Any]) -> None:
    groups = evaluation["results"]["fairface"][GENDER]["groups"]["ethnicity"]
    worst = min(groups, key=lambda value: groups[value]["accuracy"]["value"])
    line = next(line for line in card_values(sources(evaluation))["weakest"].splitlines() if "Gender by ethn" in line)
    assert f"lowest for {worst}" in line


def test_what_was_not_measured_is_reported_as_missing(evaluation: dict[str, Any]) -> None:
    values = card_values(sources(evaluation | {"robustness": []}))
    assert {values[name] for name in ("robustness_table", "cost", "engines", "int8", "peers")} == {
        "Not measured yet.\n"
    }
    bench = {"onnx": {"estimate_per_backbone": {"1": 1.1, "8": 1.02}, "machine": "a machine"}}
    full = card_values(sources(evaluation, other=evaluation, bench=bench, peers="| peers |\n"))
    assert "| onnx | 1.10 | 1.02 | a machine |" in full["cost"]
    assert "+0.00" in full["engines"]
    assert full["peers"] == "| peers |\n"
    int8 = copy.deepcopy(evaluation)
    int8["run"]["engine"] = "onnx-int8 on cpu"
    int8["results"]["fairface"][GENDER]["accuracy"]["value"] -= 0.0123
    for changes in ({"evaluation": evaluation, "other": int8}, {"evaluation": int8, "other": evaluation}):
        assert "at most 1.23 points" in card_values(replace(sources(evaluation), **changes))["int8"]


def test_the_images_are_drawn(evaluation: dict[str, Any]) -> None:
    assert [name for name, _ in card_images(evaluation)] == [
        "weakest-groups.png",
        "emotion-by-origin.png",
        "corruption-curves.png",
        "corruption-faces.png",
    ]
    assert len(list(card_images(evaluation | {"robustness": []}))) == 2
    assert drawn_face().dtype == np.uint8


def test_a_figure_that_changed_is_found(evaluation: dict[str, Any]) -> None:
    assert differences(evaluation, evaluation, 0) == []
    fresh = copy.deepcopy(evaluation)
    fresh["results"]["fairface"][GENDER]["accuracy"]["value"] -= 0.01
    assert differences(evaluation, fresh, 0.02) == []
    found = differences(evaluation, fresh, 0.005)
    assert len(found) == 1
    assert found[0].startswith("fairface gender accuracy is")
    del fresh["results"]["fairface"]
    assert "there is none now" in differences(evaluation, fresh, 0.02)[0]


def test_the_worst_task_counts_for_int8(evaluation: dict[str, Any]) -> None:
    other = copy.deepcopy(evaluation["results"])
    for name in ("affectnet", "all"):
        other[name][EMOTION]["accuracy"]["value"] -= 0.007
    other["fairface"][GENDER]["accuracy"]["value"] += 0.01
    assert most_lost(evaluation["results"], other) == pytest.approx(0.007)


def test_the_shipped_card_is_what_its_figures_say() -> None:
    if not (MEASURED / SAMPLE).is_file():
        pytest.skip("the shipped model was not measured for its card yet")
    shipped = Sources.read(MEASURED, model_folder("small"))
    assert (ROOT / "docs" / "model-card-small.md").read_text() == write_card(MEASURED / "card.md.in", shipped)
    first = shipped.evaluation["ways"][0]["fit"]
    for task in shipped.spec.tasks:
        assert shipped.spec.temperatures[task] == pytest.approx(first["temperatures"][task])
        assert shipped.spec.thresholds[task] == first["thresholds"][task]


def test_the_shipped_model_gives_the_figures_of_the_card_again() -> None:
    if not (MEASURED / SAMPLE).is_file():
        pytest.skip("the shipped model was not measured for its card yet")
    if not MANIFEST.is_file():
        pytest.skip("there is no work/faces/manifest-val.csv: facial-attributes prepare makes it from ../shared")
    from facial_attributes_ros.engines.load import load_engine

    stored = read_json(MEASURED / SAMPLE)
    engine = load_engine("small", "cpu", stored["run"]["engine"].partition(" ")[0])
    manifest = read_manifest(MANIFEST)
    rows = sum(
        found["rows"]
        for name, tasks in stored["results"].items()
        for found in [max(tasks.values(), key=lambda r: r["rows"])]
        if name != "all" and "-from-" not in name
    )
    predictions = predict_manifest(engine, manifest.take(spread_subset(len(manifest), rows)))
    run = Run(**(stored["run"] | {"manifests": tuple(stored["run"]["manifests"])}))
    fresh = to_json(evaluate(predictions, engine.spec), run)
    assert asdict(run)["model"] == engine.spec.name
    # One face in the smallest set is two points.
    assert differences(stored, fresh, 0.045) == []
