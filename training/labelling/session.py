"""Labelling: the faces in their order, one after another, and the answers about them. FIRST FILE TO OPEN of labelling.

`scanning` finds the faces, `order` puts them in order, `pictures` shows them, and `answers` keeps what is answered.
"""

import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from facial_attributes_training.data.manifest import IDENTITY, Row
from facial_attributes_training.labelling.answers import BEFORE, Answer, AnswerBook, Labels
from facial_attributes_training.labelling.candidates import Candidate
from facial_attributes_training.labelling.order import label_order
from facial_attributes_training.labelling.pictures import Pictures
from facial_attributes_training.labelling.scanning import ScannedFile
from facial_attributes_training.prepare.faces import is_same_face
from facial_attributes_training.prepare.splits import assign_splits

from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.errors import UserError

TRAIN: Final = "train"
VALIDATION: Final = "val"
_BREAK: Final = 120.0
"""Seconds after which somebody has made a break rather than thought about a face."""
_RECENT: Final = 20
"""Answers from which the time that is left is estimated."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be labelled.

    Attributes:
        tasks: that are asked about each face.
        held_out: fraction of the people, or of the images where people are not known, that is for validation.
        limit: number of faces, None for all.
        person_per_folder: each folder of images shows one person, whose identity its name becomes.
    """

    tasks: tuple[str, ...]
    held_out: float = 0.25
    limit: int | None = None
    person_per_folder: bool = False


class Labelling:
    """The work of one labeller. May be used from several threads.

    Attributes:
        book: the answers.
        plan: what is to be labelled.
    """

    def __init__(
        self,
        scanned: Sequence[ScannedFile],
        plan: Plan,
        book: AnswerBook,
        model_tasks: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Put the faces in order, and continue behind what was answered before.

        Args:
            scanned: the images and videos with their faces.
            plan: what is to be labelled.
            book: the answers.
            model_tasks: that the model estimates.
            clock: seconds.
        """
        self.book, self.plan, self._clock = book, plan, clock
        self._scanned = scanned
        faces = [face for file in scanned for face in file.candidates]
        self._faces = _named_by_folder(faces) if plan.person_per_folder else faces
        self._splits = _splits(self._faces, plan.held_out)
        estimated = [task for task in plan.tasks if task in model_tasks]
        self._order = label_order(
            [face.hardness(estimated) for face in self._faces],
            [face.person for face in self._faces],
            [face.look for face in self._faces],
            [split == VALIDATION for split in self._splits],
        )[: plan.limit]
        self._begun = self._match_answers()
        self._answers = {number: answer for number, answer in self._begun.items() if self._is_whole(answer)}
        self._history: list[tuple[int, Answer | None]] = []
        self._undone: Labels | None = None
        self._skipped: list[int] = []
        self._first: int | None = None
        self._shown: tuple[int, float] | None = None
        self._estimates_shown: set[int] = set()
        self._seconds: list[float] = []
        self._pictures = Pictures()
        self._lock = threading.Lock()

    def status(self) -> dict[str, Any]:
        """Return the progress, the counts of the labels, and what could not be read, in JSON form."""
        with self._lock:
            answers = list(self._answers.values())
            left = len(self._order) - len(answers)
            return {
                "total": len(self._order),
                "answered": len(answers),
                "skipped": len(self._skipped),
                "left_out": sum(answer.given.left_out for answer in answers),
                "seconds_left": statistics.median(self._seconds) * left if self._seconds else None,
                "counts": {task: self._counts(task, answers) for task in self.plan.tasks},
                "can_undo": bool(answers),
            }

    def facts(self) -> dict[str, Any]:
        """Return what stays the same while the page is open, in JSON form."""
        return {
            "labeller": self.book.labeller,
            "tasks": list(self.plan.tasks),
            "folder": str(self.book.folder.resolve()),
            "manifest": str(self.book.manifest.resolve()),
            "videos": any(face.frame is not None for face in self._faces),
            "files": len(self._scanned),
            "found": len(self._faces),
            "without_faces": sum(not file.error and not file.candidates for file in self._scanned),
            "broken": [file.error for file in self._scanned if file.error],
        }

    def current(self) -> dict[str, Any] | None:
        """Return the face that is to be labelled now in JSON form, without the model's estimate; None at the end."""
        with self._lock:
            number = self._current()
            if number is None:
                return None
            if self._shown is None or self._shown[0] != number:
                self._shown = number, self._clock()
            face = self._faces[number]
            when = "" if face.seconds is None else f", {int(face.seconds) // 60}:{face.seconds % 60:04.1f}"
            return {
                "number": number,
                "title": f"{Path(face.media).name}{when}",
                "validation": self._splits[number] == VALIDATION,
                "width": round(face.box[2]),
                "before": self._before(number),
            }

    def answer(
        self, number: int, labels: Mapping[str, str], cannot_say: Sequence[str], age_years: float | None = None
    ) -> None:
        """Keep the labels of a face.

        Args:
            number: of the face.
            labels: per task.
            cannot_say: tasks whose label cannot be said.
            age_years: age in years if it is known; the age group follows from it.

        Raises:
            UserError: there is no such face, a task has no answer or a wrong one, or it cannot be kept.
        """
        face = self._face(number)
        with self._lock:
            shown = number in self._estimates_shown
            self._keep(number, Labels.checked(self.plan.tasks, labels, cannot_say, age_years, shown), face)

    def leave_out(self, number: int) -> None:
        """Note that a face must not be used; nothing of a video is stored for it.

        Raises:
            UserError: there is no such face, or the note cannot be kept.
        """
        face = self._face(number)
        with self._lock:
            self._keep(number, Labels(left_out=True), face)

    def skip(self, number: int) -> None:
        """Put a face off until all others are answered.

        Raises:
            UserError: there is no such face.
        """
        self._face(number)
        with self._lock:
            self._skipped = [*(one for one in self._skipped if one != number), number]
            self._first = self._shown = None

    def undo(self) -> None:
        """Take the last answer back and return to its face.

        Raises:
            UserError: there is none, or the answers cannot be written.
        """
        with self._lock:
            number, before = self._history[-1] if self._history else (self._last_answered(), None)
            answer = self._begun[number]
            if before is None:
                self.book.remove(answer)
                del self._begun[number]
            else:
                self.book.add(before, answer)
                self._begun[number] = before
            self._history = self._history[:-1]
            self._answers.pop(number, None)
            self._drop_unused_image(self._faces[number], answer)
            self._first, self._shown, self._undone = number, None, answer.given

    def estimate(self, number: int) -> dict[str, Any]:
        """Return what the model estimates of a face, its JSON form; the answer notes that the labeller has seen it.

        Raises:
            UserError: there is no such face.
        """
        face = self._face(number)
        with self._lock:
            self._estimates_shown.add(number)
            return dict(face.face)

    def image(self, number: int, whole: bool = False) -> bytes:
        """Return a face, or the whole image around it, as JPEG.

        Raises:
            UserError: there is no such face, or its file cannot be read any more.
        """
        face = self._face(number)
        with self._lock:
            return self._pictures.scene(face) if whole else self._pictures.face(face)

    def close(self) -> None:
        """Free what is open."""
        with self._lock:
            self._pictures.close()

    def _face(self, number: int) -> Candidate:
        if not 0 <= number < len(self._faces):
            raise UserError(f"There is no face {number}.")
        return self._faces[number]

    def _current(self) -> int | None:
        if self._first is not None:
            return self._first
        waiting = (number for number in self._order if number not in self._answers and number not in self._skipped)
        return next(waiting, self._skipped[0] if self._skipped else None)

    def _before(self, number: int) -> dict[str, str]:
        """Return the labels that a face has already: of an answer that was taken back, or of other tasks."""
        if number == self._first and self._undone is not None:
            return dict(self._undone.labels)
        return dict(self._begun[number].given.labels) if number in self._begun else {}

    def _last_answered(self) -> int:
        mine = {id(answer): number for number, answer in self._answers.items()}
        last = next((mine[id(answer)] for answer in reversed(self.book.answers) if id(answer) in mine), None)
        if last is None:
            raise UserError("There is nothing to undo.")
        return last

    def _keep(self, number: int, given: Labels, face: Candidate) -> None:
        before = self._begun.get(number)
        answer = self._answer_of(number, given if before is None else given.added_to(before.given), face)
        self.book.add(answer, before)
        self._history.append((number, before))
        self._begun[number] = self._answers[number] = answer
        self._drop_unused_image(face, answer)
        if self._shown is not None and self._shown[0] == number:
            elapsed = self._clock() - self._shown[1]
            self._seconds = [*self._seconds[1 - _RECENT :], elapsed] if elapsed < _BREAK else self._seconds
        self._skipped = [one for one in self._skipped if one != number]
        self._first = self._shown = self._undone = None

    def _is_whole(self, answer: Answer) -> bool:
        """Return whether an answer of before has all tasks that are asked now."""
        return answer.given.left_out or {*answer.given.labels, *answer.given.cannot_say} >= {*self.plan.tasks}

    def _answer_of(self, number: int, given: Labels, face: Candidate) -> Answer:
        folder = self.book.folder.resolve()
        path, box, landmarks = Path(face.media), face.box, face.landmarks
        if given.labels:
            path, box, landmarks = self._pictures.keep(face, folder)
        elif face.frame is not None:
            path = self._pictures.kept_path(face, folder)
        return Answer(
            media=os.path.relpath(face.media, folder),
            frame=face.frame,
            found=face.box,
            path=os.path.relpath(path, folder),
            box=box,
            landmarks=landmarks,
            split=self._splits[number],
            person=face.person,
            given=given,
        )

    def _drop_unused_image(self, face: Candidate, answer: Answer) -> None:
        """Remove what was stored of a video if no manifest in the folder names it."""
        if face.frame is None:
            return
        manifests = [path for path in self.book.folder.glob("labels-*.csv") if BEFORE not in path.name]
        if not any(answer.path in manifest.read_text(encoding="utf-8") for manifest in manifests):
            (self.book.folder / answer.path).unlink(missing_ok=True)

    def _counts(self, task: str, answers: Sequence[Answer]) -> dict[str, int]:
        counts = Counter(answer.given.labels.get(task) for answer in answers)
        return {label: counts[label] for label in LABELS[task]}

    def _match_answers(self) -> dict[int, Answer]:
        """Return the answers of before by the number of their face; boxes may have moved since, with another model."""
        places: dict[tuple[str, int | None], list[int]] = {}
        folder = self.book.folder.resolve()
        for number in self._order:
            face = self._faces[number]
            places.setdefault((os.path.relpath(face.media, folder), face.frame), []).append(number)
        found: dict[int, Answer] = {}
        for answer in self.book.answers:
            for number in places.get((answer.media, answer.frame), ()):
                if number not in found and is_same_face(self._faces[number].box, answer.found):
                    found[number] = answer
                    break
        return found


def _named_by_folder(faces: Sequence[Candidate]) -> list[Candidate]:
    """Return the faces with the folder of each image as the identity, empty in the uppermost folder."""
    if not faces:
        return []
    base = _common_folder(faces)
    names = [Path(face.media).parent.relative_to(base).as_posix() for face in faces]
    return [
        face if face.frame is not None or name == "." else replace(face, person=name)
        for face, name in zip(faces, names, strict=True)
    ]


def _common_folder(faces: Sequence[Candidate]) -> Path:
    return Path(os.path.commonpath([Path(face.media).parent for face in faces]))


def _splits(faces: Sequence[Candidate], held_out: float) -> list[str]:
    """Return the split of every face: by person, or by image where people are not known.

    A few people may all be drawn into one split; then the one with the fewest faces goes into the other.
    """
    if not held_out or not faces:
        return [TRAIN] * len(faces)
    base = _common_folder(faces)
    rows = (Row(face.media, extra={IDENTITY: face.person}) for face in faces)
    splits = [row.split for row in assign_splits(rows, {VALIDATION: held_out, TRAIN: 1 - held_out}, base=base)]
    people = [face.person or face.media for face in faces]
    counts = Counter(people)
    if len({*splits}) > 1 or len(counts) == 1:
        return splits
    fewest = min(counts, key=lambda person: (counts[person], person))
    other = TRAIN if VALIDATION in splits else VALIDATION
    return [other if person == fewest else split for person, split in zip(people, splits, strict=True)]
