"""`facial-attributes label`: mistakes before the page opens, what `prepare` makes of labels, and the agreement."""

import numpy as np
import pytest
from facial_attributes_training.data.manifest import Manifest, Row, read_manifest, write_manifest
from facial_attributes_training.labelling.answers import Answer, AnswerBook, Labels

from facial_attributes_ros.cli.main import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "metadata.yaml").write_text("rosbag2_bagfile_information:\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Give the images or videos"),
        (["a.jpg"], "--out"),
        (["missing", "--out", "out"], "no file or folder missing"),
        (["empty", "--out", "out"], "no images or videos in empty"),
        (["bag", "--out", "out"], "bags cannot be read yet"),
        (["a.mcap", "--out", "out"], "bags cannot be read yet"),
        (["a.jpg", "--out", "out", "--tasks", "mood"], "no task mood"),
        (["a.jpg", "--out", "out", "--held-out", "1"], "--held-out"),
        (["a.jpg", "--agreement", "a.csv", "b.csv"], "no images"),
        (["--agreement", "a.csv", "b.csv"], "a.csv can't be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_a_sentence_and_leaves_no_folder(folder, capsys, arguments, sentence):
    assert main(["label", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_the_name_of_a_labeller_is_no_path(folder, capsys):
    assert main(["label", "a.jpg", "--out", "out", "--labeller", "../b"]) == 2
    assert "A labeller has a name" in capsys.readouterr().err


def test_two_commands_do_not_write_the_same_answers(folder, capsys):
    with AnswerBook.opened(folder, "a"):
        assert main(["label", "a.jpg", "--out", str(folder)]) == 2
    assert "is labelling in" in capsys.readouterr().err


def test_the_agreement_of_two_files_is_printed(folder, capsys):
    for name, labels in (("a", ["happy", "sad", "sad", "angry"]), ("b", ["happy", "neutral", "sad", None])):
        given = [{} if label is None else {"emotion": label} for label in labels]
        rows = [Row(str(folder / f"{number}.png"), labels=each) for number, each in enumerate(given)]
        write_manifest(folder / f"{name}.csv", Manifest.from_rows(rows))
    assert main(["label", "--agreement", "a.csv", "b.csv"]) == 0
    table, counts = capsys.readouterr().out.rsplit("emotion:", 1)
    assert table.splitlines()[1].split()[:3] == ["emotion", "3", "67"]
    assert "0.50" in table
    assert "neutral / sad 1" in table
    assert "1 more have a label in a.csv only, 0 in b.csv only" in counts


def test_prepare_takes_what_was_labelled_with_its_boxes_landmarks_and_splits(folder, capsys):
    import cv2

    book = AnswerBook(folder / "labels", "a")
    for number, split in enumerate(("train", "val", "train")):
        image = np.random.default_rng(number).integers(0, 255, (60, 60, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), image)
        box, points = (5.0, 6.0, 40.0, 41.0), tuple(float(value) for value in range(20, 30))
        labels = Labels({"emotion": "happy"}, cannot_say=("gender",))
        book.add(Answer(f"../{number}.png", None, box, f"../{number}.png", box, points, split, "", labels))
    (folder / "2.png").unlink()  # withdrawn
    AnswerBook(folder / "labels", "a")
    assert len(read_manifest(book.manifest)) == 2
    arguments = ["manifest", "labels/labels-a.csv", "--boxes", "given", "--out", "lab", "--workers", "1"]
    assert main(["prepare", *arguments]) == 0
    (row,) = read_manifest(folder / "lab" / "manifest-train.csv").rows()
    assert (row.path, row.box, row.landmarks) == (str(folder / "0.png"), (5, 6, 40, 41), tuple(range(20, 30)))
    assert (row.labels, row.extra["cannot_say"]) == ({"emotion": "happy"}, "gender")
    assert len(read_manifest(folder / "lab" / "manifest-val.csv")) == 1
