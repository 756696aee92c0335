"""The work of a labeller: what is answered is kept at once, and the work continues after a kill."""

import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from facial_attributes_training.data.manifest import read_manifest

from facial_attributes_ros.attributes import TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.decoder import read_image

LABELS = {"age": "20-29", "gender": "female", "emotion": "happy"}


def answer_all(work, count=100, **labels):
    done = []
    while (face := work.current()) is not None and len(done) < count:
        work.answer(face["number"], LABELS | labels, [])
        done.append(face["number"])
    return done


def table(work):
    with work.book.manifest.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_least_certain_face_comes_first_and_its_labels_are_in_the_manifest(scene):
    work = scene.work()
    face = work.current()
    assert (face["title"], work.status()["total"]) == ("0.png", 8)
    work.answer(face["number"], {"age": "20-29", "emotion": "sad"}, ["gender"])
    manifest = read_manifest(work.book.manifest)
    (row,) = manifest.rows()
    assert row.path == str(scene.folder / "0.png")
    assert row.labels == {"age": "20-29", "emotion": "sad"}
    assert row.box == (10, 10, 40, 40)
    assert row.landmarks[:2] == (22, 26)
    assert (row.extra["cannot_say"], row.extra["labeller"], row.split) == ("gender", "a", "train")


def test_a_new_process_continues_where_the_last_one_was_killed(scene):
    done = answer_all(scene.work(), 3)
    work = scene.work()
    assert work.status()["answered"] == 3
    assert work.current()["number"] not in done
    assert answer_all(work) == [number for number in answer_all(scene.work("b")) if number not in done]
    assert len(table(work)) == 8


def test_nothing_but_the_face_and_the_questions_is_told_before_the_answer(scene):
    work = scene.work()
    face = work.current()
    assert set(face) == {"number", "title", "validation", "width", "before"}
    work.answer(face["number"], LABELS, [])
    second = work.current()["number"]
    assert work.estimate(second)["emotion_probabilities"]["surprise"] == pytest.approx(0.3)
    work.answer(second, LABELS, [])
    assert [row["model_shown"] for row in table(work)] == ["", "yes"]


def test_undo_returns_to_the_last_face_also_in_a_new_process(scene):
    work = scene.work()
    first, second = answer_all(work, 2)
    work.undo()
    assert work.current()["number"] == second
    assert work.current()["before"] == LABELS
    again = scene.work()
    again.undo()
    assert again.current()["number"] == first
    assert table(again) == []
    with pytest.raises(UserError, match="nothing to undo"):
        again.undo()


def test_a_skipped_face_comes_again_at_the_end(scene):
    work = scene.work()
    first = work.current()["number"]
    work.skip(first)
    assert work.current()["number"] != first
    assert answer_all(work)[-1] == first


def test_what_is_left_out_or_cannot_be_said_is_answered_but_no_sample(scene):
    work = scene.work()
    work.leave_out(work.current()["number"])
    work.answer(work.current()["number"], {}, list(TASKS))
    assert (work.status()["answered"], work.status()["left_out"], table(work)) == (2, 1, [])
    assert scene.work().status()["answered"] == 2


def test_other_tasks_are_added_to_the_labels_of_before_and_undone_alone(scene):
    answer_all_emotions = scene.work(tasks=("emotion",))
    number = answer_all_emotions.current()["number"]
    answer_all_emotions.answer(number, {"emotion": "sad"}, [])
    work = scene.work()
    assert work.status()["answered"] == 0
    assert (work.current()["number"], work.current()["before"]) == (number, {"emotion": "sad"})
    work.answer(number, LABELS | {"emotion": "sad"}, [], 23.5)
    assert [(row["emotion"], row["age_years"], row["age_group"]) for row in table(work)] == [("sad", "23.5", "20-29")]
    work.undo()
    assert [(row["emotion"], row["age_group"]) for row in table(work)] == [("sad", "")]


@pytest.mark.parametrize(
    ("labels", "unsaid", "years"),
    [
        ({}, [], None),
        (LABELS, ["age"], None),
        (LABELS | {"emotion": "proud"}, [], None),
        (LABELS | {"mood": "happy"}, [], None),
        (LABELS, [], -1.0),
        (LABELS, [], float("nan")),
    ],
)
def test_a_wrong_answer_is_a_sentence_and_changes_nothing(scene, labels, unsaid, years):
    work = scene.work()
    with pytest.raises(UserError):
        work.answer(work.current()["number"], labels, unsaid, years)
    assert work.status()["answered"] == 0


@pytest.mark.parametrize("number", [-1, 8])
def test_a_face_that_is_none_is_a_sentence(scene, number):
    work = scene.work()
    for act in (work.leave_out, work.skip, work.estimate, work.image):
        with pytest.raises(UserError, match="no face"):
            act(number)


def test_the_time_that_is_left_follows_the_last_answers_without_breaks(scene):
    work = scene.work()
    assert work.status()["seconds_left"] is None
    for elapsed in (4.0, 600.0, 4.0):
        number = work.current()["number"]
        scene.time += elapsed
        work.answer(number, LABELS, [])
    assert work.status()["seconds_left"] == 4 * 5


def test_a_limit_and_a_part_for_validation(scene):
    work = scene.work(limit=5)
    assert (work.status()["total"], work.facts()["broken"]) == (5, ["broken.jpg is cut short."])
    work = scene.work("b", held_out=0.5)
    answer_all(work)
    assert {row["split"] for row in table(work)} == {"train", "val"}


def test_only_the_surroundings_of_a_labelled_face_of_a_video_are_stored_and_undo_removes_them(scene):
    scene.add_video()
    work = scene.work(held_out=0.5)
    work.leave_out(work.current()["number"])
    assert not (scene.out / "frames").exists()
    number = work.current()["number"]
    work.answer(number, LABELS, [])
    (row,) = read_manifest(work.book.manifest).rows()
    assert row.path.startswith(str(scene.out / "frames"))
    image = read_image(scene.out / "frames" / row.path.rpartition("/")[2])
    assert image.shape == (110, 100, 3)
    assert abs(int(image.mean()) - 30 * number) <= 3
    assert (row.box, row.landmarks[:2]) == ((40, 40, 40, 40), (52, 56))
    assert row.extra["identity"] == f"people.avi/{number % 2}"
    assert (row.extra["video"], row.extra["frame"]) == ("../people.avi", str(number))
    work.undo()
    assert list((scene.out / "frames").iterdir()) == []


def test_two_labellers_share_what_is_stored_of_a_video(scene):
    scene.add_video()
    one, other = scene.work("a"), scene.work("b")
    answer_all(one, 1), answer_all(other, 1)
    one.undo()
    assert len(list((scene.out / "frames").iterdir())) == 1
    other.undo()
    assert list((scene.out / "frames").iterdir()) == []


def test_all_faces_of_a_person_are_in_one_split(scene):
    scene.add_video()
    work = scene.work(held_out=0.5)
    answer_all(work)
    splits = {(row["identity"], row["split"]) for row in table(work)}
    assert len(splits) == 2


def test_a_folder_of_images_may_stand_for_a_person(scene):
    for number, file in enumerate(scene.files[:8]):
        path = scene.folder / ("anna" if number % 2 else "ben") / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.zeros((80, 80, 3), np.uint8))
        scene.files[number] = replace(file, candidates=[replace(file.candidates[0], media=str(path))])
    work = scene.work(held_out=0.5, person_per_folder=True)
    answer_all(work)
    assert {(row["identity"], row["path"].split("/")[1]) for row in table(work)} == {("anna", "anna"), ("ben", "ben")}
    assert len({(row["identity"], row["split"]) for row in table(work)}) == 2


@pytest.mark.parametrize("held_out", [0.001, 0.999])
def test_a_few_people_are_never_all_in_one_split(scene, held_out):
    scene.add_video()
    work = scene.work(held_out=held_out)
    answer_all(work)
    assert {row["split"] for row in table(work)} == {"train", "val"}


def test_images_of_the_page_show_the_face_and_the_whole(scene):
    work = scene.work()
    for whole, size in ((False, (480, 480)), (True, (80, 80))):
        picture = scene.folder / "shown.jpg"
        picture.write_bytes(work.image(0, whole))
        assert read_image(picture).shape[:2] == size
    (scene.folder / "0.png").unlink()
    work.close()
    with pytest.raises(UserError):
        work.image(0)


def test_a_manifest_that_somebody_has_changed_is_set_aside(scene, caplog):
    work = scene.work()
    answer_all(work, 1)
    changed = work.book.manifest.read_text().replace("happy", "sad")
    work.book.manifest.write_text(changed)
    scene.work()
    assert (scene.out / "labels-a-before-1.csv").read_text() == changed
    assert "happy" in work.book.manifest.read_text()
    assert "differs from the answers" in caplog.text


def test_answers_that_cannot_be_read_are_a_sentence(scene):
    work = scene.work()
    answer_all(work, 1)
    file = scene.out / "answers-a.json"
    whole = file.read_text()
    document = json.loads(whole)
    document["answers"][0]["box"] = ["x"]
    for text in (whole[:-40], "[]", whole.replace('"happy"', '"glad"'), json.dumps(document)):
        file.write_text(text)
        with pytest.raises(UserError, match="cannot be read"):
            scene.work()


def test_boxes_that_have_moved_a_little_are_the_same_face(scene):
    done = answer_all(scene.work(), 1)
    for file in scene.files:
        for face in file.candidates:
            face.face["box"] = list(np.array(face.face["box"]) + 3)
    assert scene.work().status()["answered"] == 1
    assert scene.work().current()["number"] not in done
