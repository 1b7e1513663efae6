"""Occlusion against a loop over the squares."""

import numpy as np
import pytest
import torch

from glassbit._errors import UsageError
from glassbit.explain import occlusion
from glassbit.models import to_unit


@pytest.mark.parametrize("quantized", [None, "w2a2"])
@pytest.mark.parametrize(("window", "stride"), [(4, 2), (3, 3), (5, 2), (1, 1)])
def test_it_equals_a_loop(make, images, quantized, window, stride) -> None:
    model = make(quantized=quantized).eval()
    x = to_unit(images)
    total, covered = np.zeros((5, 12, 10)), np.zeros((12, 10))
    with torch.no_grad():
        clean = model(x)[:, 1]
        for top in range(0, 12 - window + stride, stride):
            for left in range(0, 10 - window + stride, stride):
                part = np.s_[top : top + window, left : left + window]
                hidden = x.clone()
                hidden[:, :, *part] = x[:, :, :1, :1]
                total[:, *part] += (clean - model(hidden)[:, 1]).numpy()[:, None, None]
                covered[part] += 1
    assert covered.min() > 0
    found = occlusion(model, images, 1, window=window, stride=stride)
    np.testing.assert_allclose(found.numpy(), np.abs(total / covered), rtol=1e-4, atol=1e-5)


def test_an_image_of_one_colour_has_an_empty_map(make) -> None:
    assert occlusion(make(), torch.full((1, 2, 12, 10), 0.3), 0).max() < 1e-6


@pytest.mark.parametrize(("window", "stride"), [(0, None), (11, None), (3, 4), (3, 0)])
def test_impossible_squares_are_refused(make, images, window, stride) -> None:
    with pytest.raises(UsageError, match="1 <= stride <= window <= 10, the image's shorter side"):
        occlusion(make(), images, 0, window=window, stride=stride)
