"""The dialogue's perception in one object: from scenes to the interlocutor, the manner and the context."""

from dataclasses import dataclass, field

from facial_attributes_ros.dialogue.context import ContextWriter, Settled
from facial_attributes_ros.dialogue.interlocutor import Interlocutor, InterlocutorTracker
from facial_attributes_ros.dialogue.manner import MannerSelector, SpeakingManner
from facial_attributes_ros.dialogue.scene import Scene


@dataclass(frozen=True, slots=True)
class DialogueState:
    """What is known after a scene.

    Attributes:
        interlocutor: whom to speak with.
        spoken: how.
        context: for a language model.
    """

    interlocutor: Interlocutor
    spoken: SpeakingManner
    context: str


@dataclass(slots=True)
class Dialogue:
    """Follows interlocutor and manner.

    Attributes:
        writer: of the context.
        tracker: of the interlocutor.
        selector: of the manner.
    """

    writer: ContextWriter
    tracker: InterlocutorTracker = field(default_factory=InterlocutorTracker)
    selector: MannerSelector = field(default_factory=MannerSelector)
    _others: Settled = field(default_factory=Settled)
    _written: tuple[object, str] = (None, "")

    def update(self, scene: Scene) -> DialogueState:
        """Return what is known after one more scene."""
        interlocutor = self.tracker.update(scene)
        face = scene.faces.get(interlocutor.face)
        return self._state(interlocutor, self.selector.update(interlocutor, face, scene.stamp), scene.stamp)

    def silent(self, stamp: float) -> DialogueState:
        """Return that nobody is there, because no scene has come for too long."""
        interlocutor = self.tracker.silent(stamp)
        return self._state(interlocutor, self.selector.update(interlocutor, None, stamp), stamp)

    def _state(self, interlocutor: Interlocutor, spoken: SpeakingManner, stamp: float) -> DialogueState:
        others = self._others.update(interlocutor.others, stamp)
        said = bool(interlocutor.face), spoken, others
        if said != self._written[0]:
            self._written = said, self.writer.context(interlocutor, spoken, others=others)
        return DialogueState(interlocutor, spoken, self._written[1])
