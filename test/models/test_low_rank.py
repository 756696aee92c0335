"""Differences of low rank: exact where they are of low rank, the best ones otherwise, and told when damaged."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facial_attributes_ros.models.adaptations.low_rank import compress, expand
from facial_attributes_ros.models.arrays import IN, OUT

SHAPE = (12, 20)


def matrices(rank: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return starting weights, and trained ones that differ by a matrix of a rank."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(SHAPE, generator=generator)
    change = torch.randn((SHAPE[0], rank), generator=generator) @ torch.randn((rank, SHAPE[1]), generator=generator)
    return start, start + change


@given(rank=st.integers(1, 7), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_a_difference_of_the_stored_rank_comes_back(rank, seed):
    start, trained = matrices(rank, seed)
    stored = compress({"w": trained}, {"w": start}, rank)
    assert set(stored) == {"w" + OUT, "w" + IN}
    torch.testing.assert_close(expand(stored, {"w": start})["w"], trained, atol=1e-4, rtol=1e-4)


def test_no_matrix_of_the_rank_is_nearer():
    start, trained = matrices(7, 1)
    cut = expand(compress({"w": trained}, {"w": start}, 3), {"w": start})["w"]
    values = torch.linalg.svdvals(trained - start)
    torch.testing.assert_close(torch.linalg.matrix_norm(cut - trained), values[3:].norm(), atol=1e-4, rtol=1e-4)


def test_vectors_new_matrices_and_ranks_that_save_nothing_are_kept_whole():
    start, trained = matrices(2, 2)
    tensors = {"w": trained, "bias": torch.ones(20), "head": torch.ones(SHAPE)}
    stored = compress(tensors, {"w": start, "bias": torch.zeros(20)}, rank=2)
    assert set(stored) == {"w" + OUT, "w" + IN, "bias", "head"}
    assert set(compress(tensors, {"w": start}, rank=8)) == set(tensors)


def test_half_precision_of_the_factors_costs_little():
    start, trained = matrices(5, 3)
    stored = {name: value.half() for name, value in compress({"w": trained}, {"w": start}, 5).items()}
    torch.testing.assert_close(expand(stored, {"w": start})["w"], trained, atol=2e-2, rtol=1e-2)


def test_half_a_difference_is_an_error():
    start, trained = matrices(2, 4)
    stored = compress({"w": trained}, {"w": start}, 2)
    del stored["w" + IN]
    with pytest.raises(KeyError):
        expand(stored, {"w": start})


def test_a_difference_of_whole_numbers_or_of_another_shape_is_refused() -> None:
    start = {"w": torch.zeros(4, 3)}
    with pytest.raises(RuntimeError, match="the difference of w is not of floating numbers"):
        expand({"w" + OUT: torch.ones(4, 1, dtype=torch.int32), "w" + IN: torch.ones(1, 3)}, start)
    with pytest.raises(RuntimeError, match=r"the difference of w is \(1, 3\)"):
        expand({"w" + OUT: torch.ones(1, 1), "w" + IN: torch.ones(1, 3)}, start)
