"""A model's provenance: its origin and its licence, passed on from model to model.

The terms of a model are the strictest of everything that it was made from; unknown terms never become permissive.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, Literal

from typing_extensions import Self

from facial_attributes_ros.files import file_sha256
from facial_attributes_ros.models.checks import as_tuple, check_known, check_sha256, check_texts

YES: Final = "yes"
NO: Final = "no"
UNKNOWN: Final = "unknown"
STRICTEST_FIRST: Final = (NO, UNKNOWN, YES)
"""Values of `Licence.commercial_use`."""
UNKNOWN_SPDX: Final = "LicenseRef-unknown"
"""Terms that are not stated; unlike SPDX's own NOASSERTION, it may be a part of an expression."""
SHORT_HASH: Final = 12
"""Digits of a model's hash in messages and reports."""

CommercialUse = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True)
class Licence:
    """The terms of use of weights or data.

    Attributes:
        spdx: SPDX expression; `LicenseRef-NAME` for terms without an identifier, `LicenseRef-unknown` if not known;
            empty if a part adds no terms to those of the others.
        commercial_use: yes, no or unknown.
        sources: the data sets and models that the terms come from.
        text: the terms in one sentence; may be empty.
    """

    spdx: str = UNKNOWN_SPDX
    commercial_use: CommercialUse = "unknown"
    sources: tuple[str, ...] = ()
    text: str = ""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: a field is of the wrong kind; the message says which.
        """
        if not isinstance(self.spdx, str):
            raise ValueError(f"licence.spdx must be a text, not {self.spdx!r}")
        if self.commercial_use not in STRICTEST_FIRST:
            raise ValueError(f"licence.commercial_use must be yes, no or unknown, not {self.commercial_use!r}")
        if not isinstance(self.text, str):
            raise ValueError(f"licence.text must be a text, not {self.text!r}")
        check_texts("licence.sources", self.sources)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return the licence in a model's description.

        Args:
            value: an object with the fields, or a text, as in the first descriptions.

        Raises:
            ValueError: it is neither, or a field is wrong.
        """
        if isinstance(value, str):
            return cls.from_text(value)
        if not isinstance(value, dict):
            raise ValueError(f"licence must be an object with spdx, commercial_use, sources and text, not {value!r}")
        check_known(value, cls, "field of licence")
        return cls(**{**value, "sources": as_tuple("licence.sources", value.get("sources", []))})

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the licence of a sentence: "non-commercial" forbids commercial use, and no sentence allows it."""
        forbids = "non-commercial" in text.lower() or "noncommercial" in text.lower()
        return cls(commercial_use="no" if forbids else "unknown", text=text)

    @property
    def sentence(self) -> str:
        """The terms in one sentence."""
        terms = f"{self.spdx}; commercial use: {self.commercial_use}."
        return f"{self.text} ({terms.rstrip('.')})" if self.text else terms


def strictest(licences: Iterable[Licence]) -> Licence:
    """Return the terms of a work made from several parts: the terms of all parts apply, so the strictest one decides.

    Args:
        licences: of the parts; without any, the terms are unknown.
    """
    parts = list(licences) or [Licence()]
    return Licence(
        spdx=" AND ".join(_expressions(parts)) or UNKNOWN_SPDX,
        commercial_use=min((part.commercial_use for part in parts), key=STRICTEST_FIRST.index),
        sources=tuple(dict.fromkeys(source for part in parts for source in part.sources)),
        text=" ".join(dict.fromkeys(part.text for part in parts if part.text)),
    )


def _expressions(parts: Iterable[Licence]) -> list[str]:
    """Return the distinct members of all parts' conjunctions, in order; alternatives are kept in brackets."""
    found: dict[str, None] = {}
    for part in parts:
        if " OR " in part.spdx:
            found[part.spdx if part.spdx.startswith("(") else f"({part.spdx})"] = None
        elif part.spdx:
            found |= dict.fromkeys(part.spdx.split(" AND "))
    return list(found)


@dataclass(frozen=True, slots=True)
class Parent:
    """The model or backbone from which a model was made.

    Attributes:
        name: of the model or backbone.
        version: empty if it has none.
        sha256: of the model (see `model_sha256`) or of the backbone's weights file; None if it is unknown.
    """

    name: str
    version: str = ""
    sha256: str | None = None

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: a field is of the wrong kind; the message says which.
        """
        if not (isinstance(self.name, str) and self.name and isinstance(self.version, str)):
            raise ValueError("parent must have a name that is not empty and a version, which may be, both texts")
        check_sha256("parent.sha256", self.sha256)

    @property
    def title(self) -> str:
        """Name, version and short hash, without those that are unknown."""
        mark = f"({self.sha256[:SHORT_HASH]})" if self.sha256 else ""
        return " ".join(part for part in (self.name, self.version, mark) if part)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return the parent in a model's description.

        Raises:
            ValueError: it is no object, or a field is wrong.
        """
        if not isinstance(value, dict):
            raise ValueError(f"parent must be an object with name, version and sha256, or null, not {value!r}")
        check_known(value, cls, "field of parent")
        return cls(**{"name": None, **value})


def model_sha256(description: Mapping[str, Any], tensors: Path) -> str:
    """Return the hash that identifies a model, 64 hexadecimal digits: SHA-256 of its tensors and its description.

    It is the hash of the SHA-256 of the tensors' file in hexadecimal (nothing without the file), followed by the
    description without its own field `sha256`, as JSON with sorted keys and no spaces. A new calibration changes it.

    Args:
        description: the content of `model.json`.
        tensors: the model's `model.safetensors`.

    Raises:
        OSError: the tensors can't be read.
    """
    digest = hashlib.sha256(file_sha256(tensors).encode() if tensors.is_file() else b"")
    hashed = {name: value for name, value in description.items() if name != "sha256"}
    digest.update(json.dumps(hashed, sort_keys=True, separators=(",", ":")).encode())
    return digest.hexdigest()


def today() -> str:
    """Return the date in UTC, such as 2026-11-21."""
    return datetime.now(timezone.utc).date().isoformat()
