"""What a run says of its model: where it comes from, under which terms, and what its labels lack."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from facial_attributes_training.data.licences import licences_of
from facial_attributes_training.data.manifest import Manifest, Row, read_manifest, write_manifest
from facial_attributes_training.fit.preflight import label_gaps
from facial_attributes_training.fit.provenance import PROVENANCE_FILE, Provenance, run_provenance
from facial_attributes_training.fit.run import train
from facial_attributes_training.recipe.file import read_recipe
from facial_attributes_training.recipe.schema import Recipe
from facial_attributes_training.reports.run import write_reports

from facial_attributes_ros.attributes import EMOTION, GENDER, LABELS
from facial_attributes_ros.cli.main import main
from facial_attributes_ros.engines.base import probabilities
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.provenance import Licence, Parent
from facial_attributes_ros.models.spec import ModelSpec

FREE = {"spdx": "MIT", "commercial_use": "yes"}


def labelled(*labels: dict[str, str], source: str = "lab", times: int = 1) -> Manifest:
    """Rows with these labels."""
    return Manifest.from_rows([Row(f"{index}.png", "", source, each) for index, each in enumerate(labels * times)])


def recipe_of(**values: object) -> Recipe:
    sets = [{"manifest": "m.csv", "licence": FREE}]
    base = {"name": "lab", "backbone": {"weights": None}, "tasks": [GENDER], "output": "runs/lab"}
    return Recipe.model_validate(base | {"data": {"train": sets, "validation": sets}} | values)


def started(folder: Path, commercial_use: str = "no") -> Path:
    """A model to go on from."""
    spec = ModelSpec(
        name="old",
        backbone=BackboneReference("dinov2-vits14", "asset"),
        image_size=32,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        tasks=(GENDER, EMOTION),
        licence=Licence("LicenseRef-old", commercial_use, ("Old faces",)),
        version="2.0.0",
        samples={"old": 7, "lab": 1},
        commands=("facial-attributes train old.yaml",),
        untrained_labels={EMOTION: ("fear",)},
    )
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"tensors")
    spec.write(folder)
    return folder


TWO = labelled({GENDER: "male"}, {GENDER: "female"})


@pytest.mark.parametrize(
    ("recipe", "data", "use"),
    [
        (None, FREE, "yes"),
        (FREE, FREE, "yes"),
        (FREE, None, "unknown"),
        (None, None, "unknown"),
        ("for all", FREE, "unknown"),
        ({"commercial_use": False}, FREE, "no"),
        (FREE, {"spdx": "CC-BY-NC-4.0", "commercial_use": "no"}, "no"),
        ("for research and non-commercial use only", None, "no"),
    ],
)
def test_the_terms_are_the_strictest_of_recipe_and_data(recipe: object, data: object, use: str) -> None:
    sets = [{"manifest": "m.csv", "licence": data}]
    found = run_provenance(recipe_of(licence=recipe, data={"train": sets, "validation": sets}), [TWO])
    assert found.licence.commercial_use == use


@pytest.mark.parametrize(("start", "use"), [("no", "no"), ("unknown", "unknown"), ("yes", "yes")])
def test_a_model_hands_its_provenance_on(tmp_path: Path, start: str, use: str) -> None:
    old = started(tmp_path / "old", start)
    backbone = {"weights": "asset", "start": str(old)}
    recipe = recipe_of(backbone=backbone, adaptation="ft-1", licence=FREE, version="3.0.0")
    found = run_provenance(recipe, [TWO])
    assert found.licence.commercial_use == use
    assert {"Apache-2.0", "LicenseRef-old", "MIT"} <= set(found.licence.spdx.split(" AND "))
    assert "Old faces" in found.licence.sources
    assert found.parent == Parent("old", "2.0.0", ModelSpec.identified(old).sha256)
    assert found.version == "3.0.0"
    assert found.samples == {"old": 7, "lab": 2}
    assert found.commands[0] == "facial-attributes train old.yaml"
    assert len(found.commands) == 2


def test_a_checkpoint_hands_on_the_provenance_of_its_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = tmp_path / "run"
    checkpoint = run / "stage" / "last.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"weights")
    backbone = {"weights": None, "start": str(checkpoint)}
    lost = run_provenance(recipe_of(backbone=backbone, adaptation="ft-1"), [TWO])
    assert lost.licence.commercial_use == "unknown"
    assert "so its licence is not known" in caplog.text
    licence = {"spdx": "LicenseRef-mine", "commercial_use": "no"}
    first = run_provenance(recipe_of(licence=licence, version="4.5.6"), [TWO])
    first.write(run)
    assert Provenance.read(run / PROVENANCE_FILE) == first
    second = run_provenance(recipe_of(backbone=backbone, adaptation="ft-1"), [TWO])
    assert second.licence.commercial_use == "no"
    assert second.parent is not None
    assert second.parent.version == "4.5.6"
    assert second.commands[:-1] == first.commands
    # A checkpoint that was taken out of its run, with its provenance beside it.
    moved = tmp_path / "elsewhere" / "last.pt"
    moved.parent.mkdir()
    moved.write_bytes(b"weights")
    (moved.parent / PROVENANCE_FILE).write_bytes((run / PROVENANCE_FILE).read_bytes())
    third = run_provenance(recipe_of(backbone={"weights": None, "start": str(moved)}, adaptation="ft-1"), [TWO])
    assert third.licence == second.licence
    (run / PROVENANCE_FILE).write_text('{"version": 1}')
    with pytest.raises(UserError, match="is not the provenance of a run"):
        run_provenance(recipe_of(backbone=backbone, adaptation="ft-1"), [TWO])


def test_known_data_sets_bring_their_terms() -> None:
    rows = [
        Row("0.png", "", "fairface", {GENDER: "male"}),
        Row("1.png", "", "affectnet", {EMOTION: "sad"}, extra={"origin": "ffhq"}),
        Row("2.png", "", "lab", {EMOTION: "sad"}),
    ]
    found = {licence.sources[0]: licence.commercial_use for licence in licences_of(Manifest.from_rows(rows))}
    assert found == {"FairFace": "yes", "AffectNet": "no", "lab": "unknown", "FFHQ": "no"}


def test_bare_yes_and_no_of_yaml_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: lab\nlicence: {spdx: MIT, commercial_use: no}\n"
        "data:\n  train: [{manifest: m.csv, licence: {spdx: MIT, commercial_use: yes}}]\n"
        "  validation: [{manifest: m.csv}]\n"
    )
    recipe = read_recipe(path)
    assert recipe.licence is not None
    assert recipe.licence.terms().commercial_use == "no"
    assert recipe.data.train[0].licence is not None
    assert recipe.data.train[0].licence.terms().commercial_use == "yes"


BOTH = labelled(*({GENDER: gender, EMOTION: emotion} for gender in LABELS[GENDER] for emotion in LABELS[EMOTION]))


def test_complete_labels_have_no_gaps() -> None:
    recipe = recipe_of(tasks=[GENDER, EMOTION])
    many = Manifest.concatenate([BOTH] * 10)
    assert label_gaps(recipe, many, many) == []


@pytest.mark.parametrize(
    ("training", "validation", "test", "sentences"),
    [
        (BOTH, TWO, None, ["1 validation samples .* have a label of gender", "No validation sample .* emotion"]),
        (BOTH, labelled({GENDER: "male"}, times=90), None, ["No validation sample has a label of emotion"]),
        (BOTH, Manifest.concatenate([BOTH] * 10), TWO, ["No test sample has a label of emotion"]),
        (
            labelled({GENDER: "male", EMOTION: "happy"}, {GENDER: "female", EMOTION: "sad"}),
            Manifest.concatenate([BOTH] * 10),
            None,
            ["No training sample of emotion is surprise or fear or disgust or angry or neutral: .* never predicts"],
        ),
    ],
)
def test_gaps_in_the_labels_are_reported(
    training: Manifest, validation: Manifest, test: Manifest | None, sentences: list[str]
) -> None:
    found = label_gaps(recipe_of(tasks=[GENDER, EMOTION]), training, validation, test)
    assert len(found) == len(sentences)
    for sentence, pattern in zip(found, sentences, strict=True):
        with pytest.raises(UserError, match=pattern):
            raise UserError(sentence)


def test_what_cannot_be_learned_or_chosen_is_refused() -> None:
    recipe = recipe_of(tasks=[GENDER, EMOTION])
    with pytest.raises(UserError, match="no training sample has a label of emotion: remove it"):
        label_gaps(recipe, TWO, BOTH)
    with pytest.raises(UserError, match="all training samples with a label of gender are male"):
        label_gaps(recipe, labelled({GENDER: "male", EMOTION: "sad"}, {EMOTION: "happy"}), BOTH)
    apart = recipe_of(tasks=[GENDER, EMOTION], one_after_another=True)
    with pytest.raises(UserError, match="no validation sample that may choose the epoch has a label of emotion"):
        label_gaps(apart, BOTH, TWO)


@pytest.fixture
def gaps(manifest: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Training samples that are happy or sad, and validation samples without emotions."""
    training, validation = tmp_path / "training.csv", tmp_path / "validation.csv"
    rows: dict[Path, list[Row]] = {training: [], validation: []}
    for index, row in enumerate(read_manifest(manifest).rows()):
        labels = {GENDER: row.labels[GENDER], EMOTION: "sad" if index % 3 else "happy"}
        rows[training].append(Row(row.path, row.split, row.source, labels, box=row.box))
        rows[validation].append(Row(row.path, row.split, row.source, {GENDER: labels[GENDER]}, box=row.box))
    for path, kept in rows.items():
        write_manifest(path, Manifest.from_rows(kept))
    return training, validation


def test_a_run_reports_what_it_does_not_know(
    gaps: tuple[Path, Path], make_recipe: Callable[..., Recipe], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = {"train": [{"manifest": str(gaps[0])}], "validation": [{"manifest": str(gaps[1])}]}
    caplog.set_level(logging.WARNING)
    folder = train(make_recipe("run", data=data, epochs=1, version="1.1.0"), write_report=write_reports)
    printed = [record.getMessage() for record in caplog.records]
    assert "No validation sample has a label of emotion" in printed[1]
    assert "surprise or fear or disgust or angry or neutral" in printed[2]
    spec, report = ModelSpec.identified(folder), (tmp_path / "run" / "report.md").read_text()
    assert spec.uncalibrated == (GENDER, EMOTION)
    assert spec.untrained_labels == {EMOTION: ("surprise", "fear", "disgust", "angry", "neutral")}
    assert json.loads((folder / "model.json").read_text())["thresholds"] == {}
    assert (spec.version, spec.parent, spec.samples) == ("1.1.0", None, {"made-up": 24})
    assert spec.licence.commercial_use == "unknown"
    assert Provenance.read(tmp_path / "run" / PROVENANCE_FILE).licence == spec.licence
    for text in ("No validation sample has a label of emotion", spec.short_hash, "emotion: surprise, fear"):
        assert text in report
    engine = load_engine(folder, "cpu", "torch")
    crops = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    found = probabilities(engine.logits(crops), engine.spec)[EMOTION]
    never = np.isin(LABELS[EMOTION], spec.untrained_labels[EMOTION])
    assert (found[:, never] == 0).all()
    assert np.allclose(found.sum(axis=1), 1)


def test_check_reports_gaps_in_the_labels(
    gaps: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipe.yaml"
    text = f"name: lab\ntasks: [gender, emotion]\noutput: {tmp_path / 'run'}\n"
    text += "backbone: {name: 'timm:vit_tiny_patch16_224', weights: null, image_size: 32, "
    text += "architecture: {embed_dim: 16, depth: 2, num_heads: 2}}\n"
    text += f"data: {{train: [{{manifest: {gaps[0]}}}], validation: [{{manifest: {gaps[1]}}}]}}\n"
    path.write_text(text)
    assert main(["train", str(path), "--check"]) == 0
    shown = capsys.readouterr().err
    for text in (
        "No validation sample has a label of emotion",
        "24 samples; gender 24 (male 12",
        "minutes on this machine",
    ):
        assert text in shown
    assert main(["train", str(path), "--check", "--set", "one_after_another=true"]) == 2
    assert "may choose the epoch" in capsys.readouterr().err
    assert main(["train", str(path), "--set", "one_after_another=true"]) == 2
    gaps[1].unlink()
    assert main(["train", str(path), "--check"]) == 2
    assert f"the manifest {gaps[1]} can't be read" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
