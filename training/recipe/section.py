"""What the sections of a recipe have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, and it is immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
