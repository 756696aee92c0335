"""The data settings of a recipe."""

from pathlib import Path
from typing import Annotated, Literal, Self

from facial_attributes_training.recipe.section import Section
from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from facial_attributes_ros.models.provenance import Licence


class LicenceRecipe(Section):
    """Terms of data or weights; `licence: TEXT` is short for `licence: {text: TEXT}`.

    Attributes:
        spdx: an SPDX expression, `LicenseRef-NAME` for terms without an identifier.
        commercial_use: yes, no or unknown; a text with "non-commercial" means no by itself.
        sources: names of the data or weights.
        text: the terms in words.
    """

    spdx: str = ""
    commercial_use: Literal["yes", "no", "unknown"] | None = None
    sources: tuple[str, ...] = ()
    text: str = ""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        return {"text": value} if isinstance(value, str) else value

    @field_validator("commercial_use", mode="before")
    @classmethod
    def _yes_and_no(cls, value: object) -> object:
        # YAML reads a bare yes or no as true or false.
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value

    def terms(self) -> Licence:
        """Return the licence."""
        use = self.commercial_use or Licence.from_text(self.text).commercial_use
        return Licence(self.spdx, use, self.sources, self.text)


class DataSetRecipe(Section):
    """The samples of one manifest.

    Attributes:
        manifest: the CSV.
        splits: only these splits, all if empty.
        sources: only these sources, all if empty.
        weight: factor on the sampling weights of its samples.
        address: of its tar shards on a web server, such as https://host/folder, for a manifest whose paths are relative
            to it; its images then come as a stream.
        licence: of its data; by default those of known sources, see `data.licences`, and unknown for all others.
    """

    manifest: Path
    splits: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    weight: PositiveFloat = 1.0
    address: Annotated[str, Field(pattern="^(https?://.*)?$")] = ""
    licence: LicenceRecipe | None = None


class DataRecipe(Section):
    """The data.

    Attributes:
        train, validation: the data sets; one half of the validation samples chooses the epoch and fits the
            temperatures, the metrics of the model are measured on the other.
        folds: number of parts for cross-validation, instead of validation samples, where there are few: for every part
            a model is trained on the others, and measured on it; the model itself is trained on all. Nothing is chosen:
            every training has all its epochs.
        test: data sets for the metrics instead, if given; then all validation samples choose and fit.
        reference: data sets that are only measured: samples like those of the model that is continued, to see what it
            loses on them.
        crop: how faces are cropped: by `landmarks`, upright and to one scale, or by the `box`; see `imaging.crop`.
        crop_margin: as in `imaging.crop`.
        expressions: a teacher's estimates of the visible expressions, an `.npz` file as in `data.expressions`, which
            the network learns as a second output; None for none.
        rows: number of samples to use of each, evenly spread, for trials; all by default.
    """

    train: Annotated[tuple[DataSetRecipe, ...], Field(min_length=1)]
    validation: tuple[DataSetRecipe, ...] = ()
    folds: Annotated[int, Field(ge=2, le=20)] | None = None
    test: tuple[DataSetRecipe, ...] = ()
    reference: tuple[DataSetRecipe, ...] = ()
    crop: Literal["box", "landmarks"] = "box"
    expressions: Path | None = None
    crop_margin: Annotated[float, Field(ge=-0.4, le=4)] = 0.0
    rows: PositiveInt | None = None

    @model_validator(mode="after")
    def _is_measured_somehow(self) -> Self:
        if bool(self.validation) == (self.folds is not None):
            raise ValueError("give validation samples, or folds for cross-validation where there are few; not both")
        if self.folds and self.test:
            raise ValueError("with folds every training sample is measured, so leave test out; reference may be given")
        return self
