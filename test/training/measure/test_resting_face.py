"""The facts about the resting face, measured on logits that were made with known ones."""

import numpy as np
import pytest
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.measure.predictions import Predictions
from facial_attributes_training.measure.resting_face import LabelledLogits, measure_resting_face, save_resting_face

from facial_attributes_ros.attributes import EMOTION, MISSING, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.spec import ModelSpec

NEUTRAL = 6


def made_up(rng, people=250, variance=2.0, correlation=0.4, coupling=0.5, shift=0.0):
    """Return logits of people with three neutral and three other images each, from two sources."""
    means = 3 * (np.eye(7) - 1 / 7)
    emotions = np.array([NEUTRAL, NEUTRAL, NEUTRAL, *range(6)])[None].repeat(people, axis=0)
    centre = np.eye(7) - 1 / 7
    offset = rng.normal(size=(people, 1, 7)) * np.sqrt(correlation * variance)
    share = np.where(emotions == NEUTRAL, 1.0, coupling)[..., None]
    noise = rng.normal(size=(*emotions.shape, 7)) * np.sqrt(variance * (1 - correlation * share**2))
    logits = means[emotions] + (share * offset + noise) @ centre
    sources = np.where(np.arange(people) % 2, "one", "two")[:, None].repeat(9, axis=1)
    logits[sources == "one"] += shift * (np.eye(7)[4] - 1 / 7)
    names = np.array([f"{person}" for person in range(people)])[:, None].repeat(9, axis=1)
    return LabelledLogits(logits.reshape(-1, 7), emotions.ravel(), sources.ravel(), names.ravel())


def test_the_facts_that_logits_were_made_with_are_found_again():
    facts = measure_resting_face(made_up(np.random.default_rng(0)))
    np.testing.assert_allclose(facts.mean_array(), 3 * (np.eye(7) - 1 / 7), atol=0.3)
    assert facts.variance == pytest.approx(2.0, rel=0.1)
    assert facts.intraclass_correlation == pytest.approx(0.4, abs=0.08)
    assert facts.coupling == pytest.approx(0.5, abs=0.12)
    assert (facts.people, facts.samples) == (250, 2250)


def test_what_a_source_has_in_common_is_not_taken_for_its_people():
    same, shifted = (measure_resting_face(made_up(np.random.default_rng(1), shift=shift)) for shift in (0.0, 3.0))
    at_rest = [facts.variance * facts.intraclass_correlation for facts in (same, shifted)]
    assert at_rest[1] == pytest.approx(at_rest[0], rel=0.05)
    assert shifted.variance > same.variance + 0.2


def test_the_means_count_every_source_alike():
    samples = made_up(np.random.default_rng(2), shift=2.0)
    few = (samples.sources == "two") | (np.arange(len(samples.sources)) % 27 < 9)
    part = LabelledLogits(samples.logits[few], samples.emotions[few], samples.sources[few], samples.people[few])
    whole, uneven = measure_resting_face(samples).mean_array(), measure_resting_face(part).mean_array()
    np.testing.assert_allclose(uneven, whole, atol=0.35)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda samples: samples.emotions != 2, "too few of disgust"),
        (lambda samples: np.arange(len(samples.emotions)) < 200, "10 people|at least 20"),
    ],
)
def test_too_little_data_is_an_error_that_names_what_is_missing(change, reason):
    samples = made_up(np.random.default_rng(3), people=60)
    rows = change(samples)
    part = LabelledLogits(
        samples.logits[rows],
        samples.emotions[rows],
        samples.sources[rows],
        np.full(rows.sum(), "") if "people" in reason else samples.people[rows],
    )
    with pytest.raises(UserError, match=reason):
        measure_resting_face(part)


def predictions_of(samples):
    count = len(samples.emotions)
    manifest = Manifest(
        paths=np.array([f"{row}.jpg" for row in range(count)]),
        splits=np.full(count, "val"),
        sources=samples.sources,
        labels={task: samples.emotions if task == EMOTION else np.full(count, MISSING) for task in TASKS},
        age_years=np.full(count, np.nan, np.float32),
        boxes=np.full((count, 4), np.nan, np.float32),
        landmarks=np.full((count, 5, 2), np.nan, np.float32),
        extra={"identity": samples.people},
    )
    return Predictions(manifest, {EMOTION: samples.logits.astype(np.float32)}, [])


def written_model(folder, **changes):
    backbone = BackboneReference("dinov2-vits14", "asset")
    spec = ModelSpec("toy", backbone, 112, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), version="1.0.0", **changes)
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"tensors")
    spec.write(folder)
    return spec


def test_the_facts_are_kept_in_a_copy_of_the_model(tmp_path):
    source, target, samples = tmp_path / "model", tmp_path / "copy", made_up(np.random.default_rng(4))
    spec = written_model(source)
    facts = save_resting_face(source, target, predictions_of(samples), "evaluate it")
    found = ModelSpec.read(target)
    assert found.resting_face == facts
    assert facts.intraclass_correlation == pytest.approx(measure_resting_face(samples).intraclass_correlation, abs=1e-3)
    assert (found.version, found.commands[-1]) == ("1.0.0+resting-face", "evaluate it")
    assert found.temperatures == spec.temperatures
    assert (target / "model.safetensors").read_bytes() == b"tensors"
    assert ModelSpec.read(source).resting_face is None
    with pytest.raises(UserError, match="does not change"):
        save_resting_face(source, source, predictions_of(samples))


def test_a_model_that_has_not_learnt_all_emotions_is_refused(tmp_path):
    written_model(tmp_path / "model", untrained_labels={EMOTION: ("fear",)})
    samples = predictions_of(made_up(np.random.default_rng(5), people=20))
    with pytest.raises(UserError, match="has not learnt them all"):
        save_resting_face(tmp_path / "model", tmp_path / "copy", samples)
    assert not (tmp_path / "copy").exists()
