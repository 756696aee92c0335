"""What a labeller has answered: kept after every answer, and written as a manifest that `train` and `prepare` take.

Two files for each labeller lie in the folder that the user named. `answers-NAME.json` holds all answers, so that the
work continues after a kill; `labels-NAME.csv` is the manifest of the faces that have a label.
"""

import itertools
import json
import logging
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from facial_attributes_training.data.manifest import IDENTITY, MAX_AGE, Manifest, Row, write_manifest

from facial_attributes_ros.attributes import AGE, LABELS, age_group_of
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors, locked, parse_json

_LOGGER = logging.getLogger(__name__)

LABELLER: Final = "labeller"
"""Column with the name of who labelled a face."""
CANNOT_SAY: Final = "cannot_say"
"""Column with the tasks of which the labeller cannot say the label."""
MODEL_SHOWN: Final = "model_shown"
"""Column that says whether the labeller has looked at the model's estimate first."""
BEFORE: Final = "-before-"
"""In the names of manifests that were set aside."""
_FORMAT: Final = 1
_NAME: Final = re.compile(r"[\w-]{1,40}")

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Labels:
    """The answer to the questions about one face.

    Attributes:
        labels: class name per task.
        age_years: age in years, if the labeller knows it.
        cannot_say: the tasks whose label cannot be said.
        left_out: whether the image must not be used: it shows no face, or somebody who has not agreed.
        model_shown: whether the labeller has looked at the model's estimate first.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    age_years: float | None = None
    cannot_say: tuple[str, ...] = ()
    left_out: bool = False
    model_shown: bool = False

    @classmethod
    def checked(
        cls,
        tasks: Collection[str],
        labels: Mapping[str, str],
        cannot_say: Iterable[str],
        age_years: float | None = None,
        model_shown: bool = False,
    ) -> Self:
        """Return an answer to the questions about some tasks; an age in years gives the age group as well.

        Raises:
            UserError: a task has no answer or two of them, or there is no such task or label.
        """
        given, unsaid = dict(labels), tuple(dict.fromkeys(cannot_say))
        if age_years is not None:
            if not 0 <= age_years <= MAX_AGE:
                raise UserError(f"An age is a number of years from 0 to {MAX_AGE:g}, not {age_years:g}.")
            given[AGE] = LABELS[AGE][age_group_of(age_years)]
        wrong = [task for task, label in given.items() if task not in tasks or label not in LABELS[task]]
        if wrong or {*given} & {*unsaid} or {*given, *unsaid} != {*tasks}:
            raise UserError(f"Each of {', '.join(tasks)} needs one of its labels, or that you cannot say it.")
        return cls(given, age_years, unsaid, model_shown=model_shown)

    def added_to(self, before: "Labels") -> "Labels":
        """Return this answer with what an earlier one says of tasks that this one is not about."""
        if self.left_out:
            return self
        about = {*self.labels, *self.cannot_say}
        return Labels(
            {**{task: label for task, label in before.labels.items() if task not in about}, **self.labels},
            self.age_years if AGE in about else before.age_years,
            (*(task for task in before.cannot_say if task not in about), *self.cannot_say),
            model_shown=self.model_shown or before.model_shown,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and everything that a manifest needs of its face.

    Attributes:
        media: image or video in which the face was found, relative to the folder of the answers.
        frame: number of the frame in a video, None in an image.
        found: box in that image or frame: x, y, width, height in pixels.
        path: the image for the manifest, relative likewise; for a video what was cut out of the frame.
        box: of the face in that image.
        landmarks: likewise, x, y of the five points in turn; None where they are not known.
        split: `train`, or `val` for validation.
        person: identity, empty where it is not known.
        given: the answer itself.
    """

    media: str
    frame: int | None
    found: Box
    path: str
    box: Box
    landmarks: tuple[float, ...] | None
    split: str
    person: str
    given: Labels

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the answer of a JSON form.

        Raises:
            TypeError, KeyError, ValueError: it is none.
        """
        given = Labels(**values["given"])
        if any(label not in LABELS[task] for task, label in given.labels.items()):
            raise ValueError("a label that does not exist")
        answer = cls(**{**values, "given": replace(given, cannot_say=tuple(given.cannot_say))})
        landmarks = None if answer.landmarks is None else tuple(map(float, answer.landmarks))
        return replace(answer, found=_box(answer.found), box=_box(answer.box), landmarks=landmarks)

    def row(self, folder: Path, source: str, labeller: str) -> Row:
        """Return the sample of the manifest."""
        given = self.given
        extra = {IDENTITY: self.person, LABELLER: labeller, CANNOT_SAY: " ".join(given.cannot_say)}
        extra[MODEL_SHOWN] = "yes" if given.model_shown else ""
        if self.frame is not None:
            extra |= {"video": self.media, "frame": str(self.frame)}
        path = str(folder.resolve() / self.path)
        return Row(path, self.split, source, given.labels, given.age_years, self.box, extra, self.landmarks)


class AnswerBook:
    """The answers of one labeller.

    Attributes:
        folder: where its files lie.
        labeller: name of the labeller.
        answers: the newest last.
        manifest: path of the manifest.
    """

    def __init__(self, folder: Path, labeller: str, source: str = "") -> None:
        """Read what was answered before.

        Args:
            folder: where its files lie.
            labeller: up to 40 letters, digits, _ and -.
            source: of the samples, the folder's name if empty.

        Raises:
            UserError: the answers cannot be read, or the manifest cannot be written.
        """
        self.folder, self.labeller = folder, labeller
        self.manifest = folder / f"labels-{labeller}.csv"
        self._source = source or folder.resolve().name
        self._file = folder / f"answers-{labeller}.json"
        self.answers = self._read()
        self._keep_changed_manifest()

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, labeller: str, source: str = "") -> Iterator[Self]:
        """Give the answers of a labeller for a block, during which no other process may use them.

        Raises:
            UserError: the name is none, another process uses them, or as the constructor raises it.
        """
        if not _NAME.fullmatch(labeller):
            raise UserError(f"A labeller has a name of up to 40 letters, digits, _ and -, not {labeller!r}.")
        busy = f"{labeller} is labelling in {folder} already: stop that command first, or take another --labeller."
        with locked(folder / f"answers-{labeller}.json", busy):
            yield cls(folder, labeller, source)

    def add(self, answer: Answer, before: Answer | None = None) -> None:
        """Keep a new answer.

        Args:
            answer: to keep.
            before: an answer about the same face that it replaces.

        Raises:
            UserError: it cannot be written.
        """
        self._save([*(one for one in self.answers if one is not before), answer])

    def remove(self, answer: Answer) -> None:
        """Forget an answer.

        Raises:
            UserError: as `add`.
        """
        self._save([one for one in self.answers if one is not answer])

    def _save(self, answers: list[Answer]) -> None:
        with disk_errors(self._file), atomic_target(self._file) as partial:
            document = {"format": _FORMAT, "answers": [asdict(answer) for answer in answers]}
            partial.write_text(json.dumps(document, indent=1), encoding="utf-8")
        self._write_manifest(self.manifest, answers)
        self.answers = answers

    def _write_manifest(self, path: Path, answers: Sequence[Answer]) -> None:
        # An image that was deleted, such as one that somebody has withdrawn, is no sample any more.
        there = (one for one in answers if one.given.labels and (self.folder / one.path).exists())
        rows = [answer.row(self.folder, self._source, self.labeller) for answer in there]
        write_manifest(path, Manifest.from_rows(rows))

    def _keep_changed_manifest(self) -> None:
        """Set a manifest aside that somebody has changed since; the next answer would overwrite the changes."""
        if not self.manifest.exists():
            return
        new = self.manifest.with_suffix(".csv.new")
        self._write_manifest(new, self.answers)
        if new.read_bytes() != self.manifest.read_bytes():
            names = (f"{self.manifest.stem}{BEFORE}{number}.csv" for number in itertools.count(1))
            aside = next(path for path in map(self.folder.joinpath, names) if not path.exists())
            self.manifest.replace(aside)
            _LOGGER.warning(
                "%s differs from the answers: it is now %s, and a new one is written.", self.manifest, aside
            )
        new.replace(self.manifest)

    def _read(self) -> list[Answer]:
        if not self._file.exists():
            return []
        try:
            document = parse_json(self._file.read_text(encoding="utf-8"))
            if document["format"] != _FORMAT:
                raise ValueError("another format")
            return [Answer.from_dict(values) for values in document["answers"]]
        except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(
                f"The answers in {self._file} cannot be read ({error}): move the file away, or repair it."
            ) from error


def _box(values: Sequence[float]) -> Box:
    x, y, width, height = map(float, values)
    return x, y, width, height
