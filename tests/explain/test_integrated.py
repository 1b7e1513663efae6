"""Integrated gradients and their completeness."""

import pytest
import torch
from torch import nn

from glassbit._errors import UsageError
from glassbit.explain import integrated_gradients
from glassbit.models import to_unit


def test_a_linear_network_is_explained_exactly(images) -> None:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Flatten(), nn.Linear(240, 3)).double()
    x = to_unit(images).double()
    found = integrated_gradients(model, x, 2, steps=1, baseline=0.25)
    weight = model[1].weight[2].detach().view(2, 12, 10)
    torch.testing.assert_close(found.maps, ((x - 0.25) * weight).abs().sum(1))
    torch.testing.assert_close(found.change, ((x - 0.25) * weight).sum((1, 2, 3)))
    assert found.gap.abs().max() < 1e-12


def test_a_smooth_network_is_complete(make, images) -> None:
    found = integrated_gradients(make(smooth=True).double(), images, 1)
    assert found.change.abs().min() > 0
    assert found.relative_gap < 1e-8


@pytest.mark.parametrize("batch", [1, 7, 50, 1000])
def test_the_pieces_of_the_computation_do_not_show(make, images, batch) -> None:
    found = integrated_gradients(make(), images, 1, steps=20, batch=batch)
    whole = integrated_gradients(make(), images, 1, steps=20)
    torch.testing.assert_close(found.maps, whole.maps, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.gap, whole.gap, rtol=1e-3, atol=1e-5)


def test_a_quantized_network_says_that_it_is_not_complete(make, images) -> None:
    float_gap = integrated_gradients(make(), images, 1, steps=200).relative_gap
    gap = integrated_gradients(make(quantized="w2a2"), images, 1, steps=200).relative_gap
    assert float_gap < 0.02
    assert gap > 2 * float_gap


def test_an_image_equal_to_the_baseline_has_an_empty_map(make) -> None:
    found = integrated_gradients(make(), torch.zeros(2, 2, 12, 10), 0)
    assert not found.maps.any()
    assert found.relative_gap == 0.0


@pytest.mark.parametrize("option", [{"steps": 0}, {"baseline": 1.5}, {"baseline": float("nan")}])
def test_impossible_options_are_refused(make, images, option) -> None:
    with pytest.raises(UsageError, match=r"steps must be 1\.\.1000 and baseline a grey level"):
        integrated_gradients(make(), images, 0, **option)
