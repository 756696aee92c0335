"""A training run: data, network, stages, model folder."""
