"""Peers are given the very crops that our model is given, and are measured by the same figures."""

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import peers
import pytest
from facial_attributes_training.data.manifest import Manifest, Row, read_manifests, write_manifest
from facial_attributes_training.measure.predictions import predict_manifest
from peer_figures import Figures, accuracy_figures, accuracy_table, years_to_groups

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.crop import crop_faces
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.spec import ModelSpec

SPEC = ModelSpec("ours", BackboneReference("none"), image_size=32, mean=(0.5,) * 3, std=(0.5,) * 3, crop_margin=0.1)
BOX = (5.0, 8.0, 20.0, 24.0)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    rows = []
    for index, years in enumerate((4.0, 25.0, 44.0, 71.0)):
        path = tmp_path / f"{index}.png"
        cv2.imwrite(str(path), np.random.default_rng(index).integers(0, 256, (48, 40, 3), np.uint8))
        labels = {GENDER: "male" if index % 2 else "female"}
        extra = {"origin": "street" if index < 2 else "studio"}
        rows.append(Row(str(path), "val", "faces", labels, years, BOX, extra))
    write_manifest(tmp_path / "manifest.csv", Manifest.from_rows(rows))
    return read_manifests([tmp_path / "manifest.csv"])


def test_peers_get_our_squares_in_their_size_and_in_rgb(manifest: Manifest) -> None:
    collector = peers.CropCollector(SPEC, 48, 0.1)
    predict_manifest(collector, manifest, "box")
    crops = np.concatenate(collector.parts)
    assert crops.shape == (4, 48, 48, 3)
    picture = cv2.imread(str(manifest.paths[2]))
    np.testing.assert_array_equal(crops[2], crop_faces(picture, [BOX], 48, 0.1)[0][..., ::-1])


def test_years_become_groups_and_errors_in_years_by_origin(manifest: Manifest) -> None:
    said = [{"age": age, "gender": [0.2, 0.8], "emotion": None} for age in (7.0, 31.0, 44.0, 80.0)]
    answers = peers.peer_answers("somebody", manifest, said)
    assert EMOTION not in answers.labels
    found = {(row.data_set, row.task): row for row in accuracy_figures(answers)}
    street, studio = found["faces, origin street", AGE], found["faces, origin studio", AGE]
    assert (street.accuracy.value, studio.accuracy.value) == (0.5, 1.0)
    assert street.off_by_one is not None
    assert street.off_by_one.value == 1.0
    assert street.mae is not None
    assert street.mae.value == pytest.approx(4.5)
    assert found["faces, origin street", GENDER].accuracy.value == 0.5
    back = [Figures.from_json(json.loads(json.dumps(asdict(row)))) for row in found.values()]
    assert back == list(found.values())
    assert "| faces, origin studio | age | 2 | somebody | 100.0" in accuracy_table(back)


def test_an_age_below_zero_is_the_youngest_group() -> None:
    assert years_to_groups(np.array([-1.5, 2.9, 3.0, 99.0])).tolist() == [0, 0, 1, 8]


def test_missing_node_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FACIAL_ATTRIBUTES_CACHE", str(tmp_path))
    monkeypatch.setattr(peers.shutil, "which", lambda _: None)
    with pytest.raises(UserError, match=r"need Node\.js with npm"):
        peers.install(peers.PEERS["face-api"])
