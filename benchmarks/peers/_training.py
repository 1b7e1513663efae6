"""In a worker: training steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._functorch import config as functorch

from glassbit import models

from ._entries import ADDED, PEAK, SAVED, Entry
from ._memory import resident
from ._saved import saved_bytes

Loss = Callable[[Tensor, Tensor], Tensor]

BITS = 4
ALPHA = 3.0
WARM_UP = 5
"""Steps before anything is measured; more than brevitas is told to collect statistics for."""


class Training:
    """Steps of SGD on random images: forward passes, backward passes, update.

    Args:
        entry: what to train.
        threads: of torch.
        batch: images per step.
    """

    def __init__(self, entry: Entry, threads: int, batch: int) -> None:
        torch.set_num_threads(threads)
        generator = torch.Generator().manual_seed(1)
        layout = torch.channels_last if entry.channels_last else torch.contiguous_format
        self.images = torch.rand(batch, 3, 32, 32, generator=generator).contiguous(memory_format=layout)
        self.labels = torch.randint(10, (batch,), generator=generator)
        self.bf16 = entry.bf16
        self.module, self.loss = build(entry.method, self.images)
        if entry.channels_last:
            self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if entry.compiled:
            functorch.donated_buffer = False  # the map's backward pass keeps the graph for the next one
            self.loss = torch.compile(self.loss, dynamic=False)
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=0.01, momentum=0.9, weight_decay=2e-4)

    def step(self) -> None:
        """One step."""
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            loss = self.loss(self.images, self.labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def facts(self) -> dict[str, Any]:
        """Warm up, and say what memory a step takes."""
        before = resident("VmRSS")
        for _ in range(WARM_UP):
            self.step()
        peak = resident("VmHWM")
        owned = (*self.module.parameters(), *self.module.buffers())
        return {
            SAVED: saved_bytes(self.step, owned),
            PEAK: peak,
            ADDED: peak - before,
        }

    def turn(self, _: int) -> float:
        """Milliseconds of one step."""
        start = time.perf_counter()
        self.step()
        return 1e3 * (time.perf_counter() - start)


def build(method: str, images: Tensor) -> tuple[nn.Module, Loss]:
    """What is trained, and its loss."""
    torch.manual_seed(0)
    network = models.resnet20()
    if method == "brevitas":
        from ._brevitas import quantized

        return with_cross_entropy(quantized(network, BITS))
    if method == "torchao":
        from ._torchao import prepared

        return with_cross_entropy(prepared(network, images))
    if method.startswith("paper"):
        from ._paper import ReleasedSaliencyGuided, paper_form_

        paper_form_(network, BITS, ALPHA)
        if method == "paper-pact":
            return with_cross_entropy(network)
        released = ReleasedSaliencyGuided(network)
        return released, released
    return with_cross_entropy(network) if method == "fp32" else ours(method, network)


def with_cross_entropy(network: nn.Module) -> tuple[nn.Module, Loss]:
    """Plain classification."""
    return network, lambda images, labels: F.cross_entropy(network(images), labels)


def ours(method: str, network: nn.Module) -> tuple[nn.Module, Loss]:
    """Glassbit's objectives and quantizers with their defaults."""
    from glassbit.quant import Plan, quantize_
    from glassbit.train import CrossEntropy, SaliencyGuided

    if "pact" in method:
        quantize_(network, Plan.named(f"w{BITS}a{BITS}", alpha=ALPHA))
    objective = SaliencyGuided(network) if "sgt" in method else CrossEntropy(network)
    return objective, lambda images, labels: objective(images, labels).total
