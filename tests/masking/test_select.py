"""Choosing pixels: exactly so many, the lowest, ties by chance."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from glassbit._errors import UsageError
from glassbit.masking import highest, lowest, ranks, tied

SCORES = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 40)),
    elements=st.floats(-(2.0**100), 2.0**100, width=32) | st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-40]),
)


@given(SCORES, st.data())
def test_lowest_marks_exactly_count_and_nothing_unmarked_is_lower(scores: np.ndarray, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, scores.shape[1]))
    mask = lowest(torch.from_numpy(scores), count).numpy()
    assert (mask.sum(1) == count).all()
    for row, marked in zip(scores, mask, strict=True):
        if 0 < count < len(row):
            assert row[marked].max() <= row[~marked].min()
            assert np.array_equal(np.sort(row[marked]), np.sort(row)[:count])


@given(SCORES, st.data())
def test_highest_is_lowest_of_the_negative(scores: np.ndarray, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, scores.shape[1]))
    for row, marked in zip(scores, highest(torch.from_numpy(scores), count).numpy(), strict=True):
        assert np.array_equal(np.sort(row[marked]), np.sort(row)[len(row) - count :])


def test_ties_are_broken_by_chance_not_by_position() -> None:
    marked = lowest(torch.zeros(4000, 10), 5, generator=torch.Generator().manual_seed(0)).float().mean(0)
    assert (marked - 0.5).abs().max() < 0.04


def test_negative_zero_ties_with_zero() -> None:
    scores = torch.tensor([[0.0, -0.0]]).expand(2000, 2)
    marked = lowest(scores, 1, generator=torch.Generator().manual_seed(0)).float().mean(0)
    assert (marked - 0.5).abs().max() < 0.05


def test_the_same_generator_gives_the_same_mask() -> None:
    masks = [lowest(torch.zeros(3, 50), 20, generator=torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(*masks)


@given(SCORES)
def test_ranks_are_permutations_in_the_order_of_the_scores(scores: np.ndarray) -> None:
    places = ranks(torch.from_numpy(scores)).numpy()
    for row, place in zip(scores, places, strict=True):
        assert sorted(place) == list(range(len(row)))
        assert (np.diff(row[np.argsort(place)]) >= 0).all()


def test_tied_counts_the_places_that_chance_filled() -> None:
    scores = torch.tensor([[0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 2.0, 3.0]])
    assert tied(scores, lowest(scores, 2)).item() == pytest.approx((2 + 0) / 2 / 2)
    assert tied(scores, lowest(scores, 3)).item() == 0.0


def test_a_count_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match=r"count must be a whole number, 0\.\.4; got 5"):
        lowest(torch.zeros(1, 4), 5)
