"""Who the interlocutor is: chosen after a while, held, and changed only for somebody who is clearly in front."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facial_attributes_ros.dialogue.interlocutor import Engagement, InterlocutorOptions, InterlocutorTracker
from facial_attributes_ros.dialogue.scene import Cues, Scene, SeenFace
from facial_attributes_ros.errors import UserError


@pytest.fixture
def robot(watching):
    return watching(InterlocutorTracker())


def people(robot):
    """Faces and encounters in the order in which they changed."""
    found = [(one.face, one.encounter) for one in robot.seen]
    return [now for before, now in zip([None, *found], found, strict=False) if now != before]


def test_somebody_becomes_the_interlocutor_after_a_second_and_not_before(robot, seen):
    assert robot.show(0.9, seen()).face == ""
    one = robot.show(0.4, seen())
    assert (one.face, one.encounter, one.reason, one.engagement) == ("a", 1, "arrived", Engagement.ENGAGED)


def test_nobody_is_chosen_who_is_too_small_too_far_or_turned_away(robot, seen):
    far = [seen("s", size=0.04), seen("d", size=0.4, distance=5.0), seen("t", facing=0.1)]
    assert robot.show(5, *far).face == ""


def test_two_faces_of_the_same_size_do_not_take_turns(robot, seen):
    robot.show(60, seen("a", -0.2), seen("b", 0.2), jitter=0.02)
    assert len(people(robot)) == 2  # nobody, then one of them


def test_somebody_clearly_in_front_takes_over_after_a_while_and_only_once(robot, seen):
    robot.show(3, seen("a"))
    beside = seen("b", 0.1, 0.5)
    assert robot.show(1.4, seen("a"), beside).face == "a"
    now = robot.show(2, seen("a"), beside)
    assert (now.face, now.encounter, now.reason) == ("b", 2, "took_over")
    robot.show(20, seen("a"), beside)
    assert [face for face, _ in people(robot)] == ["", "a", "b"]


def test_a_slightly_larger_face_does_not_take_over(robot, seen):
    robot.show(3, seen("a"))
    assert robot.show(20, seen("a"), seen("b", 0.1, 0.33)).face == "a"


def test_somebody_who_passes_in_front_does_not_become_the_interlocutor(robot, seen):
    robot.show(3, seen("a"))
    for step in range(25):
        passing = seen("p", -0.8 + 0.064 * step, 0.45)
        # Hidden behind for a part of the way.
        robot.show(0.1, *([] if 8 <= step <= 16 else [seen("a")]), passing)
    robot.show(3, seen("a"))
    assert [face for face, _ in people(robot)] == ["", "a"]


def test_a_short_occlusion_is_waited_for_and_a_long_one_ends_the_encounter(robot, seen):
    robot.show(3, seen("a"))
    hidden = robot.show(1.5)
    assert (hidden.face, hidden.in_view, hidden.engagement) == ("a", False, Engagement.DISENGAGING)
    assert robot.show(0.5, seen("a")).encounter == 1
    gone = robot.show(2.5)
    assert (gone.face, gone.reason, gone.engagement) == ("", "left", Engagement.UNKNOWN)


def test_a_missed_detection_is_not_spoken_of(robot, seen):
    robot.show(3, seen("a", facing=0.9))
    for _ in range(10):
        robot.show(0.1)
        robot.show(0.2, seen("a", facing=0.9))
        robot.show(0.1, seen("a", facing=0.1))
        robot.show(0.2, seen("a", facing=0.9))
    assert len({(one.in_view, one.engagement) for one in robot.seen[-60:]}) == 1


def test_a_lost_id_at_the_same_place_is_the_same_person(robot, seen):
    robot.show(3, seen("a", 0.1))
    robot.show(0.5)
    now = robot.show(1, seen("b", 0.12))
    assert (now.face, now.encounter, now.reason, now.lost) == ("b", 1, "same_place", ("a",))


@pytest.mark.parametrize(
    ("x", "size", "gap"), [(0.6, 0.3, 0.5), (0.0, 0.5, 0.5), (0.0, 0.3, 1.4)], ids=["elsewhere", "larger", "later"]
)
def test_a_new_id_elsewhere_of_another_size_or_later_is_somebody_else(robot, seen, x, size, gap):
    robot.show(3, seen("a"))
    robot.show(gap)
    assert robot.show(4, seen("b", x, size)).encounter == 2


def test_somebody_who_was_there_before_does_not_inherit_a_lost_place(robot, seen):
    robot.show(3, seen("a"), seen("b", 0.5, 0.3))
    robot.show(0.3, seen("b", 0.2, 0.3))
    assert robot.show(0.5, seen("b", 0.0, 0.3)).face == "a"


def test_a_lost_id_is_found_again_while_the_camera_pans(robot, seen):
    for step in range(30):
        robot.show(0.1, seen("a", 0.5 - 0.02 * step))
    robot.show(0.5)
    assert robot.show(0.5, seen("b", -0.19)).encounter == 1


def test_the_interlocutor_stays_while_the_camera_pans(robot, seen):
    for step in range(200):
        pan = 0.5 * (step % 40 / 20 - 1 if step % 40 < 20 else 3 - step % 40 / 20)
        robot.show(0.1, seen("a", -0.15 - pan), seen("b", 0.15 - pan, 0.29))
    assert len(people(robot)) <= 2


def test_a_person_keeps_the_encounter_through_another_id_and_a_return(robot, seen):
    robot.show(3, seen("a", person="anna"))
    assert robot.show(1, seen("b", 0.6, 0.2, person="anna")).reason == "same_person"
    robot.show(10)
    assert robot.show(3, seen("c", person="anna")).encounter == 1
    assert robot.show(8, seen("d", person="ben")).encounter == 2


def test_a_merge_of_persons_is_told(robot, seen):
    robot.show(3, seen("a", person="anonymous"))
    now = robot.show(0.5, seen("a", person="anna"))
    assert (now.person, now.reason, now.encounter) == ("anna", "same_person", 1)


def test_an_interlocutor_who_was_interrupted_is_not_somebody_new(robot, seen):
    robot.show(3, seen("a"))
    robot.show(3, seen("a"), seen("b", 0.1, 0.6))
    assert robot.show(4, seen("a")).encounter == 1


def test_somebody_who_turns_away_is_released_after_a_while(robot, seen):
    robot.show(3, seen("a", facing=0.9))
    assert robot.show(2.5, seen("a", facing=0.1)).engagement == Engagement.DISENGAGING
    released = robot.show(1.0, seen("a", facing=0.1))
    assert (released.face, released.reason) == ("", "disengaged")


def test_the_nearer_speaks_where_distances_are_known_whatever_the_faces_sizes(robot, seen):
    assert robot.show(3, seen("big", 0.0, 0.4, distance=2.5), seen("near", 0.1, 0.3, distance=1.0)).face == "near"


def test_a_face_turned_to_the_robot_counts_more_than_a_larger_one_that_is_not(robot, seen):
    assert robot.show(3, seen("a", 0.0, 0.35, facing=0.55), seen("b", 0.2, 0.3, facing=0.99)).face == "b"


def test_who_speaks_counts_more(robot, seen):
    robot.show(3, seen("a", -0.2, speaking=0.0), seen("b", 0.2, 0.29, speaking=0.0))
    assert robot.show(4, seen("a", -0.2, speaking=0.0), seen("b", 0.2, 0.29, speaking=0.95)).face == "b"


def test_silence_ends_the_encounter_and_time_that_runs_backwards_begins_anew(robot, seen):
    robot.show(3, seen("a"))
    silent = robot.watched.silent(200.0)
    assert (silent.face, silent.reason, silent.since) == ("", "silent", 200.0)
    assert robot.watched.silent(201.0) == silent
    robot.now = 300.0
    robot.show(3, seen("a"))
    assert robot.watched.update(Scene(5.0, {"a": seen("a")})).face == ""


def test_engagements_name_everybody_in_view(robot, seen):
    robot.show(3, seen("a"), seen("b", 0.3, 0.28), seen("c", 0.6, 0.03))
    levels = robot.watched.engagements()
    assert levels == {"a": Engagement.ENGAGED, "b": Engagement.ENGAGING, "c": Engagement.DISENGAGED}
    assert robot.seen[-1].others == 1


def test_a_setting_out_of_range_is_one_sentence():
    with pytest.raises(UserError, match="interlocutor.margin takes a number"):
        InterlocutorOptions(margin=0.5)


faces = st.lists(
    st.tuples(st.sampled_from("abcd"), st.floats(-0.8, 0.8), st.floats(0.01, 0.9), st.floats(0, 1)), max_size=4
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 3.0), faces), max_size=25))
def test_whatever_comes_an_encounter_has_one_number_and_changes_take_time(scenes):
    tracker, stamp, last, changed = InterlocutorTracker(), 0.0, None, -99.0
    for gap, shown in scenes:
        stamp += gap
        scene = Scene(stamp, {key: SeenFace(key, x, 0, size, cues=Cues(facing=f)) for key, x, size, f in shown})
        now = tracker.update(scene)
        assert bool(now.face) == (now.reason in ("arrived", "took_over", "same_place", "same_person"))
        assert not now.in_view or now.face
        if last is not None and now.encounter != last.encounter and last.face:
            assert stamp - changed >= tracker.options.acquire
        if last is None or now.face != last.face:
            changed = stamp
        last = now
