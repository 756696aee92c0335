"""Print the tables of `docs/dialogue.md`, and draw its picture: the dialogue on made-up scenes, against a simple rule.

.venv/bin/python scripts/figures/dialogue_figures.py --out docs/dialogue

The rule is what many demonstrations do: speak with the largest face of the frame, in the manner of the label of the
frame.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from dialogue_scenes import PLAYS, Moment, Play, emotion_of, play, wanted_name
from estimate_streams import STEP

from facial_attributes_ros.dialogue.context import ContextWriter
from facial_attributes_ros.dialogue.conversation import Conversation
from facial_attributes_ros.dialogue.dialogue import Dialogue
from facial_attributes_ros.dialogue.manner import MannerSelector
from facial_attributes_ros.dialogue.policy_file import default_policy_file, read_policy
from facial_attributes_ros.dialogue.templates import Templates
from facial_attributes_ros.figures import Figure

CHILD, WORRIED = ("0-2", "3-9"), ("sad", "fear")
SOON = 10.0
"""Seconds within which a change to somebody else and back counts as ping-pong."""
EITHER = "either"
NODE, RULE = "dialogue node", "largest face, label of the frame"


@dataclass(frozen=True)
class Way:
    """How a robot speaks in one frame.

    Attributes:
        name: of the person; empty for nobody.
        simple: whether in simple words.
        asks: whether it asks if it can help.
    """

    name: str = ""
    simple: bool = False
    asks: bool = False


@dataclass
class Course:
    """How a robot spoke in a scene, and how it should have.

    Attributes:
        ways: per frame.
        wanted: per frame.
        said: sentences of the scripted conversation, with their times.
    """

    ways: list[Way] = field(default_factory=list)
    wanted: list[Way] = field(default_factory=list)
    said: list[tuple[float, str]] = field(default_factory=list)

    def changes(self) -> int:
        """Return how often the person changes, from or to nobody included."""
        return sum(before.name != now.name for before, now in pairwise(self.ways))

    def needed(self) -> int:
        """Return how often it should have changed, once for the first person."""
        names = ["", *(way.name for way in self.wanted)]
        return sum(before != now for before, now in pairwise(names))

    def ping_pong(self) -> int:
        """Return how often the person changes to another one and back at once."""
        names = [way.name for way in self.ways]
        marks = [(0, names[0]), *((n, b) for n, (a, b) in enumerate(pairwise(names), 1) if a != b)]
        people = [(frame, name) for frame, name in marks if name]
        return sum(
            first == third and (end - begin) * STEP <= SOON
            for (_, first), (begin, _), (end, third) in zip(people, people[1:], people[2:], strict=False)
        )

    def manner_changes(self) -> int:
        """Return how often the manner changes while the person stays."""
        return sum(
            before.name == now.name and (before.simple, before.asks) != (now.simple, now.asks)
            for before, now in pairwise(self.ways)
        )

    def wrong_person(self) -> float:
        """Return the fraction of the time with somebody else, or with nobody instead of somebody."""
        wrong = [not way.name if good.name == EITHER else way.name != good.name for way, good in self._pairs()]
        return float(np.mean(wrong))

    def wrong_manner(self) -> float:
        """Return the fraction of the time in a manner that the person spoken with should not have."""
        return float(np.mean([(way.simple, way.asks) != (good.simple, good.asks) for way, good in self._pairs()]))

    def delays(self, scene: Play) -> list[float]:
        """Return the seconds after which each real change of a scene, of person or manner, was followed."""
        targets = [_target(scene, frame * STEP) for frame in range(len(self.ways))]
        marks = [frame for frame, (before, now) in enumerate(pairwise(targets), 1) if before != now]
        found = []
        for begin, end in pairwise([*marks, len(targets)]):
            met = [frame for frame in range(begin, end) if self.ways[frame] == targets[frame]]
            found.append((met[0] - begin) * STEP if met else np.inf)
        return found

    def _pairs(self) -> Iterator[tuple[Way, Way]]:
        return zip(self.ways, self.wanted, strict=True)


def courses(scene: Play, seeds: Sequence[int], writer: ContextWriter) -> dict[str, list[Course]]:
    """Return how the node and the rule spoke in every run of a scene."""
    robots = [_Robot(writer) for _ in seeds]
    rules = [Course() for _ in seeds]
    for moments in play(scene, seeds):
        for robot, rule, moment in zip(robots, rules, moments, strict=True):
            robot.see(scene, moment)
            way = _by_rule(moment)
            rule.ways.append(way)
            rule.wanted.append(_wanted(scene, moment, way))
    return {NODE: [robot.course for robot in robots], RULE: rules}


class _Robot:
    """The dialogue and the scripted conversation together, as `make talk` runs them."""

    def __init__(self, writer: ContextWriter) -> None:
        self.course = Course()
        self._dialogue = Dialogue(writer, selector=MannerSelector(read_policy(default_policy_file())))
        self._talk = Conversation(Templates("en").sentences())

    def see(self, scene: Play, moment: Moment) -> None:
        """Follow one frame."""
        state, now = self._dialogue.update(moment.scene), moment.scene.stamp
        someone, manner = state.interlocutor, state.spoken.manner
        name = moment.names.get(someone.face, someone.face.rstrip("0123456789."))
        way = Way(name, manner.register == "simple", manner.ask)
        self.course.ways.append(way)
        self.course.wanted.append(_wanted(scene, moment, way))
        sentence = self._talk.step(someone.encounter, someone.face, someone.reason, manner, now)
        if sentence:
            self.course.said.append((now, sentence))


def _by_rule(moment: Moment) -> Way:
    if not moment.scene.faces:
        return Way()
    key = max(moment.scene.faces, key=lambda one: moment.scene.faces[one].size)
    labels = moment.single[key]
    return Way(moment.names[key], labels["age"] in CHILD, labels["emotion"] in WORRIED)


def _wanted(scene: Play, moment: Moment, way: Way) -> Way:
    """Return how one should speak; the manner is that of the person spoken with."""
    return replace(_manner_for(scene, way.name, moment.scene.stamp), name=moment.wanted)


def _target(scene: Play, now: float) -> Way:
    """Return with whom one should speak at a time of a scene, and how."""
    return _manner_for(scene, wanted_name(scene, now), now)


def _manner_for(scene: Play, name: str, now: float) -> Way:
    actor = next((one for one in scene.actors if one.name == name), None)
    if actor is None:
        return Way(name)
    return Way(name, actor.years < 10, emotion_of(actor, now) in WORRIED)


def table(found: dict[str, dict[str, list[Course]]]) -> Iterator[str]:
    """Yield the rows of a table with a scene and a robot a row."""
    yield (
        "| scene | robot | changes of person (needed) | ping-pong | changes of manner per minute "
        "| wrong person | wrong manner | delay |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    scenes = {scene.title: scene for scene in PLAYS}
    for title, robots in found.items():
        for robot, seen in robots.items():
            minutes = sum(len(course.ways) for course in seen) * STEP / 60
            late = [delay for course in seen for delay in course.delays(scenes[title])]
            cells = (
                f"{np.mean([one.changes() for one in seen]):.1f} ({seen[0].needed()})",
                f"{np.mean([one.ping_pong() for one in seen]):.1f}",
                f"{sum(one.manner_changes() for one in seen) / minutes:.2f}",
                f"{100 * np.mean([one.wrong_person() for one in seen]):.1f} %",
                f"{100 * np.mean([one.wrong_manner() for one in seen]):.1f} %",
                _delay_text(late),
            )
            yield f"| {title} | {robot} | {' | '.join(cells)} |"


def _delay_text(late: Sequence[float]) -> str:
    """Return the median delay, and how many changes were followed where these are not all."""
    if not late:
        return ""
    followed = [delay for delay in late if np.isfinite(delay)]
    rest = "" if len(followed) == len(late) else f" ({len(followed)} of {len(late)})"
    return f"{np.median(followed):.1f} s{rest}" if followed else "never"


def draw(robots: dict[str, Course], scene: Play, file: Path) -> None:
    """Draw whom the robots speak with, and how, over a scene."""
    names = ["", *(actor.name for actor in scene.actors)]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True)
    rows = {"wanted": robots[NODE].wanted, NODE: robots[NODE].ways, RULE: robots[RULE].ways}
    for axis, (title, ways) in zip(axes, rows.items(), strict=True):
        times = STEP * np.arange(len(ways))
        axis.step(times, [names.index(way.name) for way in ways], where="post", color="tab:blue", label="spoken with")
        for marked, colour, label in (("simple", "tab:green", "simple words"), ("asks", "tab:red", "asks")):
            on = np.array([getattr(way, marked) for way in ways])
            axis.fill_between(times, -0.4, len(names) - 0.6, where=on, color=colour, alpha=0.25, lw=0, label=label)
        axis.set_yticks(range(len(names)), ["nobody", *(f"{actor.years:.0f} years" for actor in scene.actors)])
        axis.set_title(title, fontsize=9, loc="left")
    axes[-1].set_xlabel("s")
    axes[0].legend(loc="upper right", fontsize=7, ncols=3)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=100)


def hour(found: Sequence[Course]) -> Iterator[str]:
    """Yield what the robot would say in all scenes one after another."""
    start = 0.0
    for course in found:
        for time, sentence in course.said:
            yield f"{int((start + time) // 60):3d}:{(start + time) % 60:04.1f}  {sentence}"
        start += len(course.ways) * STEP


def main() -> None:
    """Print the tables, and what the robot would say; draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for the picture")
    parser.add_argument("--runs", type=int, default=4, help="number of runs a scene")
    options = parser.parse_args()
    writer = ContextWriter(read_policy(default_policy_file()))
    found: dict[str, dict[str, list[Course]]] = {}
    for number, scene in enumerate(PLAYS):
        robots = courses(scene, [100 * number + run for run in range(options.runs)], writer)
        found[scene.title] = robots
        if options.out is not None and number == 1:
            draw({robot: seen[0] for robot, seen in robots.items()}, scene, options.out / "child-joins.png")
    said = hour([course for robots in found.values() for course in robots[NODE]])
    sys.stdout.write("\n".join([*table(found), "", *said, ""]))


if __name__ == "__main__":
    main()
