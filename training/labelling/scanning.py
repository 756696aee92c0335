"""Find the faces of images and videos, once; the findings are kept, so that a stopped scan continues.

The log has a line of settings, and then one line for each file. It holds no pixels.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from facial_attributes_training.data.archive import file_state
from facial_attributes_training.labelling.candidates import Candidate
from facial_attributes_training.prepare.perceptual_hash import describe
from numpy.typing import NDArray

from facial_attributes_ros.attributes import FaceAttributes
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors, parse_json
from facial_attributes_ros.imaging.crop import crop_face
from facial_attributes_ros.imaging.decoder import is_video, read_image
from facial_attributes_ros.imaging.sources import frame_count, read_video
from facial_attributes_ros.imaging.view_quality import view_quality
from facial_attributes_ros.pipeline import FramePipeline
from facial_attributes_ros.text import json_line

_LOGGER = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Time between two frames of a video that are looked at for faces to label."""
WINDOW_SECONDS = 2.0
"""Of each person in a video, at most one face within so many seconds is offered."""
_LOOK_SIDE, _LOOK_MARGIN = 64, 0.1
_VERSION = 1

Progress = Callable[[float, float], None]
"""Called with the number of finished images and frames, and of all."""


@dataclass(frozen=True, slots=True, eq=False)
class ScannedFile:
    """What was found in an image or a video.

    Attributes:
        path: absolute.
        state: size in bytes and time in nanoseconds of the file, to notice changes.
        error: why it cannot be read, empty if it can.
        candidates: its faces.
    """

    path: str
    state: tuple[int, int]
    error: str = ""
    candidates: list[Candidate] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        faces = [{**face.to_dict(), "media": None} for face in self.candidates]
        return {"path": self.path, "state": self.state, "error": self.error, "faces": faces}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the file of a JSON form.

        Raises:
            KeyError, TypeError: it is none.
        """
        path = values["path"]
        faces = [Candidate.from_dict({**face, "media": path}) for face in values["faces"]]
        return cls(path, tuple(values["state"]), values["error"], faces)


@dataclass(frozen=True, slots=True, eq=False)
class Scanner:
    """Looks for faces.

    Attributes:
        pipeline: finds the faces and estimates their attributes, in all tasks of its model.
        detector: name of its detector; a log of another one is not used.
        smallest: width in pixels of a face's box below which it is not offered.
    """

    pipeline: FramePipeline
    detector: str = "yunet"
    smallest: int = 32

    @property
    def settings(self) -> dict[str, Any]:
        """What the findings depend on besides the files."""
        model = self.pipeline.engine.spec.title
        return {"version": _VERSION, "model": model, "detector": self.detector, "smallest": self.smallest}

    def scan(
        self,
        files: Sequence[Path],
        names: Sequence[str],
        log: Path,
        progress: Progress,
    ) -> list[ScannedFile]:
        """Return what is in each file; a file that cannot be read has an error.

        Args:
            files: absolute paths of images and videos.
            names: of the files, for the identities of people in videos.
            log: keeps the findings; those of other settings, and of files that have changed, are not used.
            progress: called after every image and frame.

        Raises:
            UserError: the log cannot be written.
        """
        known = _read_log(log, self.settings)
        counts = [frame_count(path) if is_video(path) else 1 for path in files]
        done, total, result = 0, sum(counts), []
        with disk_errors(log):
            _write_log(log, self.settings, known.values())
            with log.open("a", encoding="utf-8") as lines:
                for path, name, count in zip(files, names, counts, strict=True):
                    found = known.get(str(path))
                    if found is None or found.state != file_state(str(path)):
                        found = self._scan_file(path, name, _shifted(progress, done, count, total))
                        lines.write(json_line(found.to_dict()))
                        lines.flush()
                    result.append(found)
                    done += count
                    progress(done, total)
        return result

    def _scan_file(self, path: Path, name: str, progress: Callable[[int], None]) -> ScannedFile:
        state = file_state(str(path))
        try:
            check_name(path)
            if is_video(path):
                return ScannedFile(str(path), state, "", self._video(path, name, progress))
            image = read_image(path)
            faces = self.pipeline.still(image)
        except UserError as error:
            return ScannedFile(str(path), state, str(error))
        found = (self._candidate(path, image, face) for face in faces)
        return ScannedFile(str(path), state, "", [one for one in found if one.box[2] >= self.smallest])

    def _video(self, path: Path, name: str, progress: Callable[[int], None]) -> list[Candidate]:
        """Return the hardest clear face of every person in every window of time."""
        self.pipeline.reset()
        best: dict[tuple[str, int], tuple[float, Candidate]] = {}
        for candidate in self._looks(path, name, progress):
            if candidate.box[2] < self.smallest or candidate.seconds is None:
                continue
            place = candidate.person, int(candidate.seconds // WINDOW_SECONDS)
            worth = candidate.quality * candidate.hardness(self.pipeline.engine.spec.tasks)
            if place not in best or worth > best[place][0]:
                best[place] = worth, candidate
        return [candidate for _, candidate in best.values()]

    def _looks(self, path: Path, name: str, progress: Callable[[int], None]) -> Iterator[Candidate]:
        """Yield the tracked faces of a video, every `LOOK_SECONDS`."""
        people: dict[str, str] = {}
        following = 0.0
        for number, (image, seconds) in enumerate(read_video(path)):
            tracked = self.pipeline.process(image, seconds).faces
            progress(number)
            if seconds < following:
                continue
            following = seconds + LOOK_SECONDS
            views = self.pipeline.single_views(image, [face.detection for face in tracked])
            for view, face in zip(views, tracked, strict=True):
                person = people.setdefault(face.id, f"{name}/{len(people) + 1}")
                candidate = self._candidate(path, image, view)
                yield replace(candidate, frame=number, seconds=round(seconds, 3), person=person, belief=_belief(face))

    def _candidate(self, path: Path, image: NDArray[np.uint8], face: FaceAttributes) -> Candidate:
        box = face.detection.box
        quality = view_quality(image, face.detection, self.pipeline.engine.spec.image_size)
        look = describe(crop_face(image, box, _LOOK_SIDE, _LOOK_MARGIN))
        return Candidate(str(path), face.to_dict(), round(quality, 4), look)


def check_name(path: Path) -> None:
    """Check that a file can be named in a manifest.

    Raises:
        UserError: its name is not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{path} has a name that is not UTF-8: rename the file.") from error


def _belief(face: FaceAttributes) -> dict[str, list[float]]:
    """Return what is believed of a tracked face, nothing before its first estimate."""
    if not face.observations:
        return {}
    distributions = (face.age_group, face.gender, face.emotion)
    return {one.task: [round(float(value), 6) for value in one.probabilities] for one in distributions}


def _shifted(progress: Progress, before: int, count: int, total: int) -> Callable[[int], None]:
    """Return a progress of one file, whose header may tell too few frames, as progress of all files."""
    return lambda frame: progress(before + min(frame, count), total)


def _read_log(log: Path, settings: Mapping[str, Any]) -> dict[str, ScannedFile]:
    """Return the findings by path; a line that a stopped scan has not finished does not count."""
    try:
        first, *lines = log.read_text(encoding="utf-8").splitlines() or [""]
    except (OSError, UnicodeDecodeError):
        return {}
    found = {}
    for line in lines if first == json_line(settings).strip() else []:
        try:
            file = ScannedFile.from_dict(parse_json(line))
        except (ValueError, KeyError, TypeError):
            _LOGGER.warning("A line of %s cannot be read; its file is scanned again.", log)
            continue
        found[file.path] = file
    return found


def _write_log(log: Path, settings: Mapping[str, Any], files: Iterable[ScannedFile]) -> None:
    with atomic_target(log) as partial, partial.open("w", encoding="utf-8") as lines:
        lines.write(json_line(settings))
        lines.writelines(json_line(file.to_dict()) for file in files)
