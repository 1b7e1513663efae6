"""A network with one hidden layer, and its logits and gradients in NumPy, float64, from the formulas of its layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from glassbit.deploy import Deployed, lower
from glassbit.intgraph import Preprocessing
from glassbit.measure import ArtifactSubject
from glassbit.models import Classifier
from glassbit.quant import PACT, Plan, Rule, quantize_

SHAPE = (2, 6, 5)
MEAN, STD = (0.4, 0.5), (0.3, 0.2)


def pictures(n: int = 7, seed: int = 3) -> Tensor:
    return torch.randint(256, (n, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def classes(n: int = 7) -> Tensor:
    return torch.arange(n) % 3


def mlp(bits: int | None = None, *, alpha: float = 2.0, hidden: int = 16) -> Classifier:
    """60 pixels, `hidden` units, 3 logits; with `bits`, quantized everywhere."""
    with torch.random.fork_rng([]):
        torch.manual_seed(11)
        net = nn.Sequential(nn.Flatten(), nn.Linear(60, hidden), nn.ReLU(), nn.Linear(hidden, 3))
    if bits is not None:
        quantize_(net, Plan("all", (Rule("*", bits, bits),), edges="same", alpha=alpha))
    return Classifier(net, mean=MEAN, std=STD)


def deployed() -> Deployed:
    return Deployed(mlp(4).eval(), pictures())


def artifact(folder: Path) -> ArtifactSubject:
    """The same network as a file."""
    lower(deployed(), classes=("a", "b", "c"), preprocessing=Preprocessing(*SHAPE)).save(folder / "shop.glassbit")
    return ArtifactSubject(folder / "shop.glassbit", name="shop")


class Twin:
    """The same network, for one image at a time: pixels 0..255 as float64."""

    def __init__(self, model: Classifier) -> None:
        _, first, activation, second = model.network
        self.W1, self.b1 = _weights(first)
        self.W2, self.b2 = _weights(second)
        self.alpha = float(activation.alpha.detach()) if isinstance(activation, PACT) else np.inf
        self.levels = 2**activation.bits - 1 if isinstance(activation, PACT) else None

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        y = np.clip(self._hidden(pixels), 0, self.alpha)
        if self.levels is not None:
            y = np.round(y * self.levels / self.alpha) * self.alpha / self.levels
        return self.W2 @ y + self.b2

    def gradient(self, pixels: np.ndarray, target: int) -> np.ndarray:
        """Straight through the rounding, per unit of [0, 1]."""
        before = self._hidden(pixels)
        open_ = (before > 0) & (before < self.alpha)
        return ((self.W2[target] * open_) @ self.W1).reshape(SHAPE) / np.reshape(STD, (2, 1, 1))

    def saliency(self, pixels: np.ndarray, target: int) -> np.ndarray:
        return np.abs(self.gradient(pixels, target)).sum(0)

    def _hidden(self, pixels: np.ndarray) -> np.ndarray:
        x = (pixels / 255 - np.reshape(MEAN, (2, 1, 1))) / np.reshape(STD, (2, 1, 1))
        return self.W1 @ x.reshape(-1) + self.b1


def _weights(layer: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(layer, nn.Linear):
        weight, bias = layer.weight, layer.bias
    else:
        weight, bias = layer.quantizer(layer.layer.weight), layer.layer.bias
    return weight.detach().double().numpy(), bias.detach().double().numpy()
