"""The subcommand `info`: what a model is, and what its adaptations cost."""

import json
from pathlib import Path

import pytest

from facial_attributes_ros.cli.main import main
from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.spec import ModelSpec

COMMAND = ["info", "--adaptation", "lp"]


def test_the_provenance_of_a_model_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    spec = ModelSpec.identified(model_folder("small"))
    assert main(COMMAND) == 0
    printed = capsys.readouterr().out
    assert spec.parent is not None
    for text in (
        spec.title,
        spec.parent.version,
        spec.licence.spdx,
        "commercial use  no",
        "33,704 samples of fairface",
    ):
        assert text in printed
    assert f"gender {spec.thresholds['gender']}" in printed
    assert all(command in printed for command in spec.commands)


def test_json_has_the_fields_of_the_description(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMAND, "--json"]) == 0
    provenance = json.loads(capsys.readouterr().out)["provenance"]
    spec = ModelSpec.identified(model_folder("small"))
    assert (provenance["version"], provenance["sha256"]) == (spec.version, spec.sha256)
    assert provenance["licence"]["commercial_use"] == "no"
    assert provenance["parent"]["sha256"] == spec.parent.sha256


def test_the_provenance_of_an_old_model_is_not_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads((model_folder("small") / "model.json").read_text())
    for name in ("version", "parent", "sha256", "date", "samples", "commands", "uncalibrated", "untrained_labels"):
        del document[name]
    (tmp_path / "model.json").write_text(json.dumps(document | {"licence": ""}))
    assert main([*COMMAND, "--model", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "commercial use  unknown" in printed
    assert "derived from    not known" in printed


def test_a_backbone_alone_has_no_provenance(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMAND, "--model", "dinov2-vits14", "--json"]) == 0
    assert "provenance" not in json.loads(capsys.readouterr().out)
