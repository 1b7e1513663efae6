"""The methods as their papers and released code write them: an operation, and an image, at a time."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.pact_kernel import paper_activations_


class PaperConv2d(nn.Module):
    """A convolution on DoReFa weights: equations 5 and 9 of 1606.06160, straight through the rounding."""

    def __init__(self, conv: nn.Conv2d, bits: int) -> None:
        super().__init__()
        self.conv = conv
        self.levels = 2**bits - 1

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps to feature maps."""
        squashed = self.conv.weight.tanh()
        unit = squashed / (2 * squashed.abs().max()) + 0.5
        rounded = unit + ((unit * self.levels).round() / self.levels - unit).detach()
        conv = self.conv
        return F.conv2d(x, 2 * rounded - 1, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)


def paper_form_(model: nn.Module, bits: int, alpha: float) -> None:
    """Quantize as the PACT paper does: DoReFa weights, PACT activations, the first and the last layer in float."""
    paper_activations_(model, bits, alpha)
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Conv2d and child is not first:
                setattr(parent, name, PaperConv2d(child, bits))


class ReleasedSaliencyGuided(nn.Module):
    """Saliency-guided training as the released code of 2111.14338 goes about it.

    The input gradient comes from a pass of its own in eval mode; maps go to NumPy; each image is sorted and filled by
    itself, a channel at a time; clean and masked images go through the network after that. These are 8 passes' worth
    of arithmetic, of which a plain step has 3; the gradient to the input alone needs no gradients of weights.

    Args:
        model: takes float images, returns logits.
        k: the share of pixels to replace.
    """

    def __init__(self, model: nn.Module, k: float = 0.5) -> None:
        super().__init__()
        self.model = model
        self.k = k

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch."""
        masked = self.masked(images, labels)
        logits, masked_logits = self.model(images), self.model(masked)
        agreement = F.kl_div(F.log_softmax(masked_logits, 1), F.softmax(logits, 1), reduction="batchmean")
        return F.cross_entropy(logits, labels) + agreement

    def masked(self, images: Tensor, labels: Tensor) -> Tensor:
        """The images with the pixels of the lowest gradients replaced by noise in each channel's range."""
        self.model.eval()
        probe = images.clone().requires_grad_()
        chosen = self.model(probe).gather(1, labels[:, None]).sum()
        (gradient,) = torch.autograd.grad(chosen, probe)
        self.model.train()
        copies = images.clone()
        random = np.random.default_rng()
        for image, scores in zip(copies, gradient.mean(1).detach().cpu().numpy(), strict=True):
            lowest = torch.from_numpy(np.argsort(scores, axis=None)[: round(self.k * scores.size)])
            for channel in image:
                noise = random.uniform(channel.min().item(), channel.max().item(), len(lowest))
                channel.view(-1)[lowest] = torch.from_numpy(noise).to(channel.dtype)
        return copies
