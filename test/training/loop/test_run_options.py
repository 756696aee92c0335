"""Options of a recipe that change how a run goes."""

import torch
from facial_attributes_training.run import train
from facial_attributes_training.run_files import LAST


def checkpoint(recipe):
    return torch.load(recipe.folder / "stage" / LAST, weights_only=True)


def test_a_run_stops_early_where_nothing_gets_better(make_recipe):
    recipe = make_recipe("run", epochs=9, early_stopping=2, optimiser={"lr": 1e-30})
    train(recipe)
    progress = checkpoint(recipe)["progress"]
    assert progress["finished"]
    assert len(progress["history"]) == progress["best_epoch"] + 3 < 9
