"""Whom to speak with: one person, held through occlusions and lost ids, changed only when somebody else is in front.

Written by hand on purpose: for the choice of the addressee, rules with a delay of one to two seconds decide better than
rules without one, and better than trained classifiers on people that these were not trained on (docs/dialogue.md).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from facial_attributes_ros.dialogue.prominence import log_prominences
from facial_attributes_ros.dialogue.scene import Scene, SeenFace
from facial_attributes_ros.dialogue.settings import InterlocutorOptions

LONGEST_STEP: Final = 0.5
"""Seconds that a gap between two scenes counts at most: one scene after a pause is no evidence of what was in it."""
RELAXED: Final = 0.75
"""What an interlocutor has to meet to stay, relative to what a newcomer has to meet."""
BRIEF: Final = 0.3
"""Seconds that an interlocutor may be out of view, or away, without a word about it: a detection was missed."""
REMEMBERED: Final = 32
"""Number of ids, the last ones, whose encounters are remembered, so that nobody is taken for a new person twice."""

NOBODY: Final = "nobody"
ARRIVED: Final = "arrived"
TOOK_OVER: Final = "took_over"
SAME_PLACE: Final = "same_place"
SAME_PERSON: Final = "same_person"
LEFT: Final = "left"
DISENGAGED: Final = "disengaged"
SILENT: Final = "silent"
REASONS: Final = (NOBODY, ARRIVED, TOOK_OVER, SAME_PLACE, SAME_PERSON, LEFT, DISENGAGED, SILENT)
"""Why the interlocutor is who it is, as `Interlocutor.msg` explains them."""


class Engagement:
    """Levels of engagement, the constants of `hri_msgs/EngagementLevel`."""

    UNKNOWN: Final = 0
    DISENGAGED: Final = 1
    ENGAGING: Final = 2
    ENGAGED: Final = 3
    DISENGAGING: Final = 4


@dataclass(frozen=True, slots=True)
class Interlocutor:
    """Whom the robot speaks with.

    Attributes:
        face: id of the face; empty if there is nobody.
        person: id under /humans/persons; empty if it has none.
        encounter: counts the people spoken with; the same number means the same person, also after a lost id.
        since: stamp in seconds at which the encounter, or the time without an interlocutor, began.
        reason: one of `REASONS`.
        engagement: one of `Engagement`.
        in_view: False while the person is hidden and waited for.
        lost: ids that the same person had before in this encounter, oldest first.
        others: number of other people in reach.
        distance: in metres; NaN where it is not known.
        bearing: in radians; NaN where it is not known.
    """

    face: str = ""
    person: str = ""
    encounter: int = 0
    since: float = 0.0
    reason: str = NOBODY
    engagement: int = Engagement.UNKNOWN
    in_view: bool = False
    lost: tuple[str, ...] = ()
    others: int = 0
    distance: float = math.nan
    bearing: float = math.nan


NO_ONE: Final = Interlocutor()


@dataclass(slots=True)
class _Known:
    """What is remembered of a face in view, or of the interlocutor while hidden.

    Attributes:
        face: as last seen.
        first: stamp at which it was first seen.
        last: stamp at which it was last seen.
        level: averaged logarithm of its prominence.
        waited: seconds in reach, those out of reach taken away.
        ahead: seconds clearly in front of an interlocutor in view, those behind taken away.
        speed: of its centre in image heights per second, x and y.
    """

    face: SeenFace
    first: float
    last: float
    level: float
    waited: float = 0.0
    ahead: float = 0.0
    speed: tuple[float, float] = (0.0, 0.0)

    def see(self, face: SeenFace, stamp: float, level: float, smoothing: float) -> None:
        """Follow the face to where it is now."""
        step = max(stamp - self.last, 1e-6)
        keep = math.exp(-step / smoothing) if smoothing else 0.0
        self.level = keep * self.level + (1 - keep) * level
        moved = (face.x - self.face.x) / step, (face.y - self.face.y) / step
        self.speed = keep * self.speed[0] + (1 - keep) * moved[0], keep * self.speed[1] + (1 - keep) * moved[1]
        self.face, self.last = face, stamp

    def passing(self) -> float:
        """Return how fast the face moves across the image, in face sizes per second."""
        return math.hypot(*self.speed) / max(self.face.size, 1e-6)


@dataclass(slots=True)
class InterlocutorTracker:
    """Follows who the interlocutor is, scene by scene.

    Attributes:
        options: the settings; new ones apply from the next scene on.
    """

    options: InterlocutorOptions = field(default_factory=InterlocutorOptions)
    _known: dict[str, _Known] = field(default_factory=dict)
    _current: Interlocutor = NO_ONE
    _away: float = 0.0
    _encounters: dict[str, int] = field(default_factory=dict)
    _count: int = 0
    _stamp: float = -math.inf

    def update(self, scene: Scene) -> Interlocutor:
        """Return the interlocutor after one more scene; a scene that is older than the last one begins anew."""
        if scene.stamp < self._stamp:
            self._known.clear()
            self._current = self._nobody(scene.stamp, NOBODY)
            self._stamp = scene.stamp
        step = min(max(scene.stamp - self._stamp, 0.0), LONGEST_STEP)
        self._stamp = scene.stamp
        self._see(scene)
        if self._current.face:
            self._follow(scene, step)
        else:
            self._find(scene, step)
        self._current = self._described(scene)
        return self._current

    def silent(self, stamp: float) -> Interlocutor:
        """Return that there is nobody, because no scene has come for too long.

        Args:
            stamp: now, in seconds on the clock of the scenes.
        """
        self._known.clear()
        if self._current.face or self._current.reason != SILENT:
            self._current = self._nobody(stamp, SILENT)
        return self._current

    def engagements(self) -> Mapping[str, int]:
        """Return the level of engagement of everybody in view, by the ids of their faces."""
        levels = {}
        for key, known in self._known.items():
            if key == self._current.face:
                levels[key] = self._current.engagement
            else:
                levels[key] = Engagement.ENGAGING if known.waited > 0 else Engagement.DISENGAGED
        return levels

    def _see(self, scene: Scene) -> None:
        """Bring what is remembered of faces up to date; forget those that are gone, but not the interlocutor."""
        levels = log_prominences(scene.faces)
        for key, face in scene.faces.items():
            if key in self._known:
                self._known[key].see(face, scene.stamp, levels[key], self.options.smoothing)
            else:
                self._known[key] = _Known(face, scene.stamp, scene.stamp, levels[key])
        kept = {*scene.faces, self._current.face}
        self._known = {key: known for key, known in self._known.items() if key in kept}

    def _follow(self, scene: Scene, step: float) -> None:
        """Decide whether the interlocutor stays, goes, or makes way for somebody else."""
        if self._current.face not in scene.faces:
            successor = self._successor(scene)
            if successor is None:
                self._await(scene, step)
                return
            self._continue(successor)
        self._wait(scene, step)
        mine = self._known[self._current.face]
        self._away = 0.0 if self._in_reach(mine.face, RELAXED) else self._away + step
        level = mine.level + math.log(self.options.margin)
        for key in scene.faces:
            known = self._known[key]
            ahead = key != self._current.face and known.waited > 0 and known.level >= level
            known.ahead = max(known.ahead + (step if ahead else -step), 0.0)
        rival = self._first({key: self._known[key].ahead for key in scene.faces}, self.options.takeover)
        if rival:
            self._begin(rival, scene, TOOK_OVER)
        elif self._away >= self.options.disengage:
            mine.waited = 0.0
            self._current = self._nobody(scene.stamp, DISENGAGED)

    def _await(self, scene: Scene, step: float) -> None:
        """Wait for an interlocutor who is out of view; others may be next, but only after that."""
        self._wait(scene, step)
        for known in self._known.values():
            known.ahead = 0.0
        if scene.stamp - self._known[self._current.face].last >= self.options.hold:
            self._known.pop(self._current.face)
            self._current = self._nobody(scene.stamp, LEFT)
            self._find(scene, 0.0)

    def _find(self, scene: Scene, step: float) -> None:
        """Begin with the most prominent person who has been in reach for long enough."""
        self._wait(scene, step)
        first = self._first({key: self._known[key].waited for key in scene.faces}, self.options.acquire)
        if first:
            self._begin(first, scene, ARRIVED)

    def _wait(self, scene: Scene, step: float) -> None:
        """Count the time of those who are in reach and do not just pass."""
        for key in scene.faces:
            known = self._known[key]
            stays = self._in_reach(known.face, 1.0) and known.passing() <= self.options.passing
            waited = known.waited + (step if stays and known.first < scene.stamp else -step)
            known.waited = min(max(waited, 0.0), max(self.options.acquire, self.options.takeover))

    def _first(self, times: Mapping[str, float], needed: float) -> str | None:
        """Return the most prominent of the faces that have spent a time, without the interlocutor's, or None."""
        ready = [key for key, time in times.items() if key != self._current.face and 0 < time >= needed]
        return max(ready, key=lambda key: self._known[key].level, default=None)

    def _in_reach(self, face: SeenFace, strictness: float) -> bool:
        """Return True if a face is near enough and, where that is known, turned to the robot."""
        cues, options = face.cues, self.options
        if math.isnan(cues.distance):
            near = face.size >= strictness * options.min_size
        else:
            near = cues.distance <= options.max_distance / strictness
        return near and (math.isnan(cues.facing) or cues.facing >= strictness * options.facing)

    def _successor(self, scene: Scene) -> str | None:
        """Return the id under which the interlocutor who is out of view is seen again, or None."""
        lost = self._known[self._current.face]
        gap = scene.stamp - lost.last
        same = [
            key for key, face in scene.faces.items() if face.cues.person and face.cues.person == self._current.person
        ]
        if same and gap <= self.options.hold:
            return same[0]
        place = lost.face.x + gap * lost.speed[0], lost.face.y + gap * lost.speed[1]
        offsets = {
            key: math.hypot(face.x - place[0], face.y - place[1])
            for key, face in scene.faces.items()
            if self._known[key].first > lost.last and _alike(face, lost.face)
        }
        nearest = min(offsets, key=offsets.__getitem__, default=None)
        if nearest is None or gap > self.options.relink:
            return None
        return nearest if offsets[nearest] <= self.options.relink_distance * lost.face.size else None

    def _continue(self, key: str) -> None:
        """Take a new id for the same person."""
        old = self._current.face
        person = self._known[key].face.cues.person
        reason = SAME_PERSON if person and person == self._current.person else SAME_PLACE
        self._known.pop(old)
        self._current = replace(self._current, face=key, reason=reason, lost=(*self._current.lost, old)[-REMEMBERED:])

    def _begin(self, key: str, scene: Scene, reason: str) -> None:
        """Begin an encounter, or continue the one that this person had."""
        person = scene.faces[key].cues.person
        earlier = self._encounters.get(person or key, self._encounters.get(key))
        if earlier is None:
            self._count += 1
        else:
            reason = SAME_PERSON
        self._current = Interlocutor(key, person, earlier or self._count, scene.stamp, reason)
        self._away = 0.0
        for known in self._known.values():
            known.ahead = 0.0

    def _remember(self, *ids: str) -> None:
        """Remember the encounter of the interlocutor's ids."""
        for one in filter(None, ids):
            self._encounters.pop(one, None)
            self._encounters[one] = self._current.encounter
        while len(self._encounters) > REMEMBERED:
            self._encounters.pop(next(iter(self._encounters)))

    def _nobody(self, stamp: float, reason: str) -> Interlocutor:
        return Interlocutor(encounter=self._current.encounter, since=stamp, reason=reason)

    def _described(self, scene: Scene) -> Interlocutor:
        """Return the interlocutor with what the scene shows of them."""
        current = self._current
        others = sum(self._in_reach(face, 1.0) for key, face in scene.faces.items() if key != current.face)
        if not current.face:
            return replace(current, others=others)
        known = self._known[current.face]
        cues, in_view = known.face.cues, scene.stamp - known.last < BRIEF
        merged = bool(cues.person and current.person) and cues.person != current.person
        described = replace(
            current,
            person=cues.person or current.person,
            reason=SAME_PERSON if merged else current.reason,
            engagement=Engagement.ENGAGED if in_view and self._away < BRIEF else Engagement.DISENGAGING,
            in_view=in_view,
            others=others,
            distance=cues.distance,
            bearing=cues.bearing,
        )
        self._remember(described.face, described.person)
        return described


def _alike(face: SeenFace, lost: SeenFace) -> bool:
    """Return True if two faces may be the same person's: of similar size, and not of two known persons."""
    ratio = face.size / lost.size if lost.size and face.size else math.inf
    known = face.cues.person and lost.cues.person and face.cues.person != lost.cues.person
    return not known and 1 / 1.4 <= ratio <= 1.4
