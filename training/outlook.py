"""What can be said of a run from its recipe and its manifests alone, before anything is computed or written."""

from dataclasses import dataclass

from facial_attributes_training.label_gaps import label_gaps
from facial_attributes_training.manifest import Manifest
from facial_attributes_training.papers import Papers, run_papers
from facial_attributes_training.recipe import Recipe
from facial_attributes_training.run_data import read_sets


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of a run at its start.

    Attributes:
        gaps: a sentence on everything that the labels lack.
        papers: of the model to come.
    """

    gaps: list[str]
    papers: Papers


def look_ahead(recipe: Recipe) -> Outlook:
    """Read a run's manifests and return what they say of it.

    Raises:
        UserError: a manifest can't be read, a task can't be learned from the rows or chosen by them, or what the run
            starts from is missing.
    """
    data = recipe.data
    sets = read_sets(recipe, data.train)
    validation = Manifest.concatenate(read_sets(recipe, data.validation))
    test = Manifest.concatenate(read_sets(recipe, data.test)) if data.test else None
    return Outlook(label_gaps(recipe, Manifest.concatenate(sets), validation, test), run_papers(recipe, sets))
