from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from facial_attributes_training.data import features
from facial_attributes_training.data.augment import Draws, augment
from facial_attributes_training.data.crops import CropReader, Framing, normalised
from facial_attributes_training.data.datasets import Crops, EpochBatches, collate
from facial_attributes_training.data.features import FeatureOptions, cached_features
from facial_attributes_training.data.loading import drawn_batches
from facial_attributes_training.data.manifest import read_manifest
from facial_attributes_training.fit.run import train
from facial_attributes_training.recipe.augmentation import Augmentation
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.crop import crop_face, crop_frame, cut_frame
from facial_attributes_ros.models.backbones.build import build_backbone
from facial_attributes_ros.models.expression import EXPRESSION, EXPRESSIONS, YAW

CROP = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 32, 32)).astype(np.uint8))
ALWAYS = Augmentation(
    flip=1, colour_cast=1, grey=1, low_light=1, low_resolution=1, smallest_side=8, blur=1, compression=1, occlusion=1
)
NEVER = dict.fromkeys(("flip", "shift", "scale", "tilt", "colour", "colour_cast", "grey", "low_light"), 0)
NEVER |= dict.fromkeys(("low_resolution", "blur", "compression", "occlusion"), 0)


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return build_backbone("timm:vit_tiny_patch16_224", image_size=32, embed_dim=16, depth=2, num_heads=2)


def test_a_crop_is_that_of_the_running_system(manifest):
    rows = read_manifest(manifest)
    reader = CropReader(rows, 24, 0.1)
    expected = crop_face(reader.images.image(str(rows.paths[2])), rows.boxes[2], 24, 0.1)
    np.testing.assert_array_equal(reader.crop(2).numpy(), expected[..., ::-1].transpose(2, 0, 1))


def test_a_crop_may_follow_the_landmarks_and_be_framed_differently(manifest):
    rows = read_manifest(manifest)
    x, y, width, _ = rows.boxes[2]
    points = np.array([[-0.17, -0.12], [0.17, -0.12], [0, 0.05], [-0.14, 0.22], [0.14, 0.22]]) * width
    rows.landmarks[2] = points @ [[0.9, 0.3], [-0.3, 0.9]] + [x + width / 2, y + width / 2]
    reader = CropReader(rows, 24, 0.1, kind="landmarks")
    image = reader.images.image(str(rows.paths[2]))
    frame = crop_frame(rows.boxes[2], 0.0, rows.landmarks[2])
    assert frame[3] > 0.2
    here = crop_face(image, rows.boxes[2], 24, 0.1, rows.landmarks[2])
    np.testing.assert_array_equal(reader.crop(2).numpy(), here[..., ::-1].transpose(2, 0, 1))
    framing = Framing(shift=(0.1, -0.05), scale=1.2, tilt=10, margin=0.0, mirrored_border=True)
    moved = frame + np.array([0.1, -0.05, 0.2, 0]) * frame[2] + np.array([0, 0, 0, np.radians(10)])
    expected = cut_frame(image, moved, 24, cv2.BORDER_REFLECT_101)
    np.testing.assert_array_equal(reader.crop(2, framing).numpy(), expected[..., ::-1].transpose(2, 0, 1))


def test_a_mirrored_crop_is_marked_and_turns_the_yaw_round(manifest):
    reader = CropReader(read_manifest(manifest), 24, 0.0)
    still = Augmentation(**NEVER)
    plain, mirrored = (Crops(reader, replace(still, flip=flip))[1, 0, 0] for flip in (0, 1))
    assert (plain.mirrored, mirrored.mirrored) == (False, True)
    assert torch.equal(plain.value.flip(2), mirrored.value)
    targets = np.zeros((24, len(EXPRESSIONS)), np.float32)
    targets[1, YAW], targets[1, 0] = 0.5, 0.7
    found = collate([plain, mirrored]).labels(reader.manifest, (), expressions=targets)[EXPRESSION]
    assert found[:, YAW].tolist() == [0.5, -0.5]
    torch.testing.assert_close(found[:, 0], torch.full((2,), 0.7))


def test_normalising_takes_mean_and_spread_off():
    white = normalised(torch.full((2, 3, 4, 4), 255, dtype=torch.uint8), (0.5, 0.5, 0.0), (0.5, 0.25, 1.0))
    torch.testing.assert_close(white[0, :, 0, 0], torch.tensor([1.0, 2.0, 1.0]))


@given(seed=st.integers(0, 10_000))
def test_augmentation_keeps_shape_and_type_and_repeats(seed):
    changed = augment(CROP, ALWAYS, Draws(seed))
    assert changed.shape == CROP.shape
    assert changed.dtype == torch.uint8
    assert torch.equal(changed, augment(CROP, ALWAYS, Draws(seed)))
    assert torch.equal(augment(CROP, Augmentation(**NEVER), Draws(seed)), CROP)


def test_augmentation_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    augment(CROP, ALWAYS, Draws(1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_depend_on_epoch_and_place_and_not_on_workers(manifest, workers):
    data = Crops(CropReader(read_manifest(manifest), 32, 0.0), Augmentation(), seed=7)
    rows = np.array([4, 4, 9, 1])
    batch = next(iter(drawn_batches(data, EpochBatches(rows, 3, 4), workers, pinned=False)))
    for place, row in enumerate(rows):
        assert torch.equal(batch.inputs[place], data[(row, 3, place)].value)
    assert not torch.equal(batch.inputs[0], batch.inputs[1])


@given(
    rows=st.integers(1, 60),
    size=st.sampled_from([4, 8, 12]),
    processes=st.sampled_from([1, 2]),
    start=st.integers(0, 3),
)
def test_processes_share_every_batch_without_overlap(rows, size, processes, start):
    drawn = np.arange(rows) * 10
    shares = [list(EpochBatches(drawn, 0, size, 2, rank, processes, start)) for rank in range(processes)]
    places = sorted(place for share in shares for part in share for _, _, place in part)
    # A process without a part of a step would leave the others waiting.
    assert len({len(share) for share in shares}) == 1 or rows < processes
    steps = max(rows // size, 1)
    assert places == list(range(min(start, steps) * size, min(steps * size, rows)))


def test_an_unreadable_sample_loses_its_labels_and_nothing_else(manifest):
    (manifest.parent / "1.png").write_bytes(b"")
    rows = read_manifest(manifest)
    data = Crops(CropReader(rows, 32, 0.0))
    batch = collate([data[(row, 0, 0)] for row in (0, 1, 2)])
    assert batch.labels(rows, ["gender"])["gender"].tolist() == [0, -100, 0]
    assert torch.equal(batch.inputs[1], batch.inputs[0])
    assert "1.png" in batch.errors[0]


def test_cached_features_are_those_of_the_backbone(manifest, backbone, tmp_path):
    rows = read_manifest(manifest)
    found = cached_features(backbone, rows, FeatureOptions(), tmp_path / "cache")
    crop = normalised(CropReader(rows, 32, 0.0).crop(5)[None], backbone.preprocess.mean, backbone.preprocess.std)
    with torch.inference_mode():
        expected = backbone(crop)[0].numpy()
    np.testing.assert_allclose(found[5], expected, atol=2e-3)
    assert found.broken() == []


def test_a_second_run_computes_nothing(manifest, backbone, tmp_path, monkeypatch):
    rows = read_manifest(manifest)
    first = cached_features(backbone, rows, FeatureOptions(), tmp_path / "cache")
    monkeypatch.setattr(type(backbone), "forward", None)
    second = cached_features(backbone, rows, FeatureOptions(), tmp_path / "cache")
    np.testing.assert_array_equal(first.stack(), second.stack())


@pytest.mark.parametrize("change", ["weights", "margin", "depth", "variant", "box", "picture"])
def test_whatever_changes_features_changes_their_key(manifest, backbone, tmp_path, change):
    rows, folder = read_manifest(manifest), tmp_path / "cache"
    augmented = {"seed": 1, "augmentation": Augmentation()}
    cached_features(backbone, rows, FeatureOptions(), folder)
    options = {
        "margin": FeatureOptions(margin=0.2),
        "depth": FeatureOptions(depth=1),
        "variant": FeatureOptions(variant=1, **augmented),
    }.get(change, FeatureOptions())
    if change == "weights":
        torch.nn.init.ones_(backbone.trunk.norm.bias)
    if change == "box":
        rows.boxes[3] += 1
    if change == "picture":
        (manifest.parent / "3.png").write_bytes((manifest.parent / "4.png").read_bytes())
    cached_features(backbone, rows, options, folder)
    assert len(list(folder.glob("*.npy"))) == 2


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_file_stays_open_however_many_shards_there_are(manifest, backbone, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SHARD_ROWS", 1)
    rows, before = read_manifest(manifest), open_files()
    found = cached_features(backbone, rows, FeatureOptions(), tmp_path / "cache")
    assert len(found.shards) == len(found.stack()) == len(rows) == 24
    assert open_files() == before


def test_a_damaged_shard_is_reported(manifest, backbone, tmp_path):
    rows = read_manifest(manifest)
    cached_features(backbone, rows, FeatureOptions(), tmp_path / "cache")
    (shard,) = (tmp_path / "cache").glob("*.npy")
    whole = shard.read_bytes()
    for damaged in (whole[:-2], whole[:20], b""):
        shard.write_bytes(damaged)
        with pytest.raises(UserError, match=r"npy can't be read .*remove the file"):
            cached_features(backbone, rows, FeatureOptions(), tmp_path / "cache")


def test_an_unreadable_image_is_listed_and_the_rest_computed(manifest, backbone, tmp_path):
    (manifest.parent / "7.png").write_bytes(b"no picture")
    found = cached_features(backbone, read_manifest(manifest), FeatureOptions(), tmp_path / "cache")
    assert found.broken() == [7]


@pytest.mark.parametrize("adaptation", ["lp", "ft-1"])
def test_training_on_cached_features_equals_training_on_images(make_recipe, tmp_path, adaptation):
    ends = []
    for name, cache in (("cached", {"folder": str(tmp_path / "cache")}), ("plain", None)):
        train(make_recipe(name, adaptation=adaptation, cache=cache, head_dropout=0.0))
        ends.append(torch.load(tmp_path / name / "stage" / "last.pt", weights_only=True)["progress"]["history"])
    for cached, plain in zip(*ends, strict=True):
        assert cached == pytest.approx(plain, rel=0.02)
