"""The gradient, integrated from a blank image to the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glassbit._arguments import is_real, is_whole, shown
from glassbit._errors import UsageError

from ._batches import Images, Target, batches, bounded, joined, taken, undisturbed

_MOST_STEPS = 1000
"""The quadrature of more takes memory and time that grow with the square and the cube of them."""


@dataclass(frozen=True)
class Integrated:
    """Integrated gradients, and how far they are from complete.

    Args:
        maps: sum over channels of |IG|, (n, h, w).
        change: f_target(image) - f_target(baseline), which the attributions should add up to, (n,), in logits.
        gap: what they add up to, less `change`, (n,). A quantized network keeps a gap that more steps do not close: its
            straight-through gradient is not the derivative of its steps.
    """

    maps: Float[Tensor, "n h w"]
    change: Float[Tensor, " n"]
    gap: Float[Tensor, " n"]

    @property
    def relative_gap(self) -> float:
        """Sum of |gap| over sum of |change|, over the images; 0 where nothing changes."""
        whole = self.change.abs().sum().item()
        return self.gap.abs().sum().item() / whole if whole else 0.0


def integrated_gradients(
    model: nn.Module,
    images: Images,
    target: Target = None,
    *,
    steps: int = 50,
    baseline: float = 0.0,
    batch: int = 250,
) -> Integrated:
    """Return the gradient of one logit, averaged along the straight line from a blank image, times the way gone.

        IG = (x - b) integral over t in [0, 1] of d f_target / d x at b + t (x - b),  a = sum over channels of |IG|

    A pixel that equals the baseline gets 0. The integral is by Gauss-Legendre quadrature, through Captum.

    Args:
        model, images, target: see `saliency`.
        steps: points on the line, 1 to 1000.
        baseline: the grey level b of the blank image, in [0, 1]; 0 is black.
        batch: points per step of the computation.

    Raises:
        UsageError: see `saliency`; or an option is out of range.

    Sundararajan et al. 2017 (arXiv 1703.01365), equation 1.
    """
    images = taken(images)
    batch = bounded("integrated_gradients", batch)
    if not is_whole(steps, 1, _MOST_STEPS) or not is_real(baseline, 0, 1):
        got = f"{shown(steps)} and {shown(baseline)}"
        raise UsageError(
            f"integrated_gradients: steps must be 1..{_MOST_STEPS} and baseline a grey level in [0, 1]; got {got}; "
            "the defaults are 50 and 0.0"
        )
    from captum.attr import IntegratedGradients

    steps = int(steps)
    maps, changes, gaps = [], [], []
    with undisturbed(model):
        method = IntegratedGradients(model)
        for x, labels in batches(model, images, target, batch=min(batch, max(1, batch // steps))):
            attributed = method.attribute(
                x, baselines=baseline, target=labels, n_steps=steps, internal_batch_size=max(batch, len(x))
            ).detach()
            with torch.no_grad():
                ends = model(torch.cat([x, torch.full_like(x, baseline)])).gather(1, labels.repeat(2)[:, None])
            change = ends[: len(x), 0] - ends[len(x) :, 0]
            maps.append(attributed.abs().sum(1))
            changes.append(change)
            gaps.append(attributed.sum((1, 2, 3)) - change)
    none = torch.zeros(0, device=images.device)
    change, gap = (torch.cat(parts).to(images.device) if parts else none for parts in (changes, gaps))
    return Integrated(joined(maps, images), change, gap)
