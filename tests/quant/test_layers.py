"""Layers that have a weight quantizer."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from glassbit import models
from glassbit._errors import UsageError
from glassbit.quant import SAWB, Plan, quantize_, quantized_once


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    found = models.cnn_bn(classes=3, width=4)
    quantize_(found, Plan.named("w4a4"))
    return found.eval()


def gradients(found: torch.nn.Module, *, once: bool) -> list[torch.Tensor]:
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    if once:
        with quantized_once(found):
            total = found(images).sum() + found(images.flip(3)).square().sum()
    else:
        total = found(images).sum() + found(images.flip(3)).square().sum()
    total.backward()
    return [parameter.grad for parameter in found.parameters() if parameter.grad is not None]


def test_weights_that_are_quantized_once_get_the_gradients_of_both_passes() -> None:
    wanted, got = gradients(network(), once=False), gradients(network(), once=True)
    assert len(wanted) == len(got) > 0
    for a, b in zip(wanted, got, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_they_are_quantized_once_inside_and_anew_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    forward = SAWB.forward

    def counted(self: SAWB, w: torch.Tensor) -> Any:
        nonlocal calls
        calls += 1
        return forward(self, w)

    monkeypatch.setattr(SAWB, "forward", counted)
    found = network()
    layers = sum(isinstance(module, SAWB) for module in found.modules())
    calls = 0
    with quantized_once(found):
        for _ in range(3):
            found(torch.zeros(1, 1, 8, 8))
    assert calls == layers > 0
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.mul_(2)
    before = calls
    found(torch.zeros(1, 1, 8, 8))
    assert calls == before + layers


def test_an_error_inside_leaves_the_quantizers_as_they_were() -> None:
    found = network()
    with pytest.raises(UsageError), quantized_once(found):
        found(torch.zeros(1, 3, 8, 8))
    assert not any("forward" in vars(module) for module in found.modules())
