"""The parameters of the dialogue node. Needs no ROS."""

from dataclasses import dataclass
from typing import Any, Final

from facial_attributes_ros.dialogue.settings import InterlocutorOptions
from facial_attributes_ros.setting import Setting, check, setting, settings_of


@dataclass(frozen=True, slots=True)
class DialogueOptions:
    """By which policy the node speaks, in which language, and what else it reads and publishes."""

    policy: str = setting(
        "", "Policy file; empty for the one that the package ships, config/dialogue.yaml.", when="start"
    )
    language: str = setting("en", "Language of dialogue/context and dialogue/notice.", when="start")
    templates: str = setting(
        "", "Folder with templates of one's own, in a folder a language; empty for those of the package.", when="start"
    )
    emotion: bool = setting(True, "Rules about emotions count; false switches them off, whatever the policy says.")
    timeout: float = setting(
        2.0, "Time without a message on faces after which there is nobody.", low=0.2, high=60, unit="s"
    )
    context_period: float = setting(
        2.0, "Shortest time between two messages on dialogue/context.", low=0, high=3600, unit="s"
    )
    rep155: str = setting(
        "auto",
        "Whether persons are read under /humans/persons; auto reads them if hri_msgs is installed.",
        choices=("auto", "always", "never"),
        when="start",
    )
    engagement: bool = setting(
        False,
        "The engagement of persons is published under /humans/persons; leave it off where hri_engagement runs.",
        when="start",
    )

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: one is out of its range.
        """
        check(self)


_NODE: Final = settings_of(DialogueOptions)
_INTERLOCUTOR: Final = settings_of(InterlocutorOptions)
DIALOGUE_SETTINGS: Final[tuple[Setting, ...]] = (*_NODE.values(), *_INTERLOCUTOR.values())
"""Every parameter of the dialogue node."""


def options_from(values: dict[str, Any]) -> tuple[DialogueOptions, InterlocutorOptions]:
    """Return the options that parameters hold.

    Args:
        values: by name, one for every entry of `DIALOGUE_SETTINGS`.

    Raises:
        UserError: one is out of its range.
    """
    return (
        DialogueOptions(**{field: values[one.name] for field, one in _NODE.items()}),
        InterlocutorOptions(**{field: values[one.name] for field, one in _INTERLOCUTOR.items()}),
    )
