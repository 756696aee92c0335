"""The measurements that a model card is made of, in files beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from facial_attributes_ros import files
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.spec import ModelSpec

EVALUATION: Final = Path("evaluation") / "evaluation.json"
OTHER_ENGINE: Final = "other-engine.json"
SAMPLE: Final = "sample.json"
BENCH: Final = "bench.json"
PEERS: Final = "peers.md"


@dataclass(frozen=True, slots=True)
class Sources:
    """Measurements of one model.

    Attributes:
        spec: the model's description.
        evaluation: JSON of `facial-attributes evaluate` over all validation samples, with calibration and robustness.
        other: the same over the same samples with the other engine (int8, or float32 if int8 is the default), without
            robustness; None if it was not measured.
        bench: JSON of `facial-attributes bench`, per engine; empty if it was not measured.
        peers: Markdown table of other models on the same samples and crops; empty if it was not measured.
    """

    spec: ModelSpec
    evaluation: dict[str, Any]
    other: dict[str, Any] | None
    bench: dict[str, dict[str, Any]]
    peers: str

    @classmethod
    def read(cls, folder: Path, model: Path) -> Self:
        """Read everything.

        Args:
            folder: with the measurements.
            model: folder of the model.

        Raises:
            UserError: the evaluation is missing, or a file can't be read.
        """
        peers = folder / PEERS
        return cls(
            spec=ModelSpec.read(model),
            evaluation=read_json(folder / EVALUATION),
            other=read_json(folder / OTHER_ENGINE) if (folder / OTHER_ENGINE).is_file() else None,
            bench=read_json(folder / BENCH) if (folder / BENCH).is_file() else {},
            peers=peers.read_text(encoding="utf-8") if peers.is_file() else "",
        )


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object from a file.

    Raises:
        UserError: it is missing or no JSON.
    """
    try:
        document = files.read_json(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: measure first.") from error
    if not isinstance(document, dict):
        raise UserError(f"{path} is not a JSON object: measure again.")
    return document
