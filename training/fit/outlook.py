"""What is known of a run from its recipe and its manifests alone, before anything is computed or written."""

from collections.abc import Mapping
from dataclasses import dataclass

from facial_attributes_training.fit.label_gaps import label_gaps
from facial_attributes_training.fit.papers import Papers, run_papers
from facial_attributes_training.fit.run_data import Samples, read_samples
from facial_attributes_training.recipe.schema import Recipe


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of a run at its start.

    Attributes:
        rows: training, validation and perhaps test samples, by these names.
        gaps: a sentence on every gap in the labels.
        papers: provenance of the model to come.
    """

    rows: Mapping[str, Samples]
    gaps: list[str]
    papers: Papers


def look_ahead(recipe: Recipe) -> Outlook:
    """Read a run's manifests and return what is known of it.

    Raises:
        UserError: a manifest can't be read, a task has too few labels to be trained or to choose an epoch, or the
            starting weights are missing.
    """
    data = recipe.data
    sets = {"training": data.train, "validation": data.validation} | ({"test": data.test} if data.test else {})
    rows = {name: read_samples(recipe, wanted) for name, wanted in sets.items()}
    test = rows["test"].manifest if data.test else None
    gaps = label_gaps(recipe, rows["training"].manifest, rows["validation"].manifest, test)
    return Outlook(rows, gaps, run_papers(recipe, rows["training"].sets))
