"""Shapes in signatures are checked while the tests run."""

from __future__ import annotations

import jaxtyping
import pytest
import torch

from glassbit import PACT, CrossEntropy, models


def test_a_wrong_shape_is_caught():
    objective = CrossEntropy(models.cnn_bn(classes=3))
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    assert objective(images, torch.zeros(2, dtype=torch.int64)).total.isfinite()
    with pytest.raises(jaxtyping.TypeCheckError):
        PACT(4).to_int(3)
    with pytest.raises(jaxtyping.TypeCheckError):
        models.to_unit(images[0])
