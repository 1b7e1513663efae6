"""Objectives that compare the prediction on an image with the prediction on its masked copy."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from glassbit._arguments import is_real, is_word, require
from glassbit._errors import UsageError
from glassbit._inputs import in_precision_of
from glassbit._modes import evaluating
from glassbit.masking import Fill, lowest, masked, tied
from glassbit.models import to_unit
from glassbit.quant import quantized_once

from ._masked_pass import MaskedBatchNorm, MaskedPass
from ._objective import Losses, Objective

Ranking = Literal["magnitude", "signed"]
Gradient = Literal["shared", "separate"]


class MaskedConsistency(Objective):
    """Classification plus agreement between an image and its masked copy.

        loss = CE(f(x), y) + w KL(softmax f(x) || softmax f(x~)),    w = weight min(1, progress / ramp)

    with x~ the image after round(k p) of its p pixels are replaced, all channels of a pixel together; which ones is the
    subclass's choice. The KL is the mean over the batch at temperature 1.

    Args:
        model: takes float images in [0, 1] and returns logits.
        k: the share of pixels to mask, 0..1.
        weight: of the consistency term, >= 0.
        fill: what replaces them: `uniform` in the image's and channel's range, its `mean`, or the `constant`
            top-left pixel.
        detach: True holds the clean side of the KL fixed.
        batchnorm: in the masked pass, BatchNorm uses the statistics of the masked batch and leaves the running ones
            alone (`clean`), updates them too as the released code does (`both`), normalises by the running ones
            (`eval`), or is a second one that sees masked images only (`split`); see `MaskedPass`.
        ramp: the share of the training, 0..1, over which w rises from 0 to `weight`; 0 is `weight` from the start.

    Raises:
        UsageError: an option is out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        k: float,
        weight: float,
        fill: Fill,
        detach: bool,
        batchnorm: MaskedBatchNorm,
        ramp: float,
    ) -> None:
        super().__init__(model)
        name = type(self).__name__
        require(name, "k", is_real(k, 0, 1), "a share of the pixels, 0..1", k, "the default is 0.5")
        require(name, "weight", is_real(weight, 0), "a number >= 0", weight, "the default is 1.0")
        _check_choice(name, "fill", fill, Fill)
        require(name, "detach", isinstance(detach, bool), "True or False", detach, "the default is False")
        _check_choice(name, "batchnorm", batchnorm, MaskedBatchNorm)
        require(name, "ramp", is_real(ramp, 0, 1), "a share of the training, 0..1", ramp, "the default is 0.0")
        self.k = k
        self.weight = weight
        self.fill: Fill = fill
        self.detach = detach
        self.batchnorm: MaskedBatchNorm = batchnorm
        self.ramp = ramp
        self.masked_pass = MaskedPass(model, batchnorm)

    @abstractmethod
    def choose(self, x: Float[Tensor, "n c h w"], labels: Integer[Tensor, " n"]) -> tuple[Tensor, Float[Tensor, "n p"]]:
        """One clean pass: its logits, with graph, and a score per pixel, the lowest to be masked."""

    def forward(self, images: Tensor, labels: Integer[Tensor, " n"]) -> Losses:
        """Return the losses of a batch; see `Objective.forward`."""
        x = in_precision_of(self.model, to_unit(images)).detach()
        with quantized_once(self.model):
            logits, scores = self.choose(x, labels)
            count = round(self.k * scores.shape[1])
            mask: Bool[Tensor, "n p"] = lowest(scores, count)
            masked_logits = self.masked_pass(self.model, masked(x.detach(), mask, self.fill))
        clean = logits.detach() if self.detach else logits
        classification = F.cross_entropy(logits, labels)
        consistency = F.kl_div(
            F.log_softmax(masked_logits, 1), F.log_softmax(clean, 1), reduction="batchmean", log_target=True
        )
        weight = self.weight * min(1.0, self.progress / self.ramp) if self.ramp else self.weight
        total = classification + weight * consistency
        return Losses(total, classification, consistency, logits.detach(), tied(scores, mask))


class SaliencyGuided(MaskedConsistency):
    """Saliency-guided training: the pixels with the lowest gradient of the true label's logit are masked.

        g = grad_x f(x)_y,  score = mean over channels of |g| (`magnitude`) or of g (`signed`)
        loss = CE(f(x), y) + weight KL(softmax f(x) || softmax f(x~))

    Args:
        model: takes float images in [0, 1] and returns logits.
        k, weight, fill, detach, batchnorm, ramp: see `MaskedConsistency`.
        ranking: `magnitude`, or `signed` as the released code does by default.
        gradient: `shared` takes g from the clean training pass's own graph; `separate` spends one more pass in eval
            mode, as released.

    Raises:
        UsageError: an option is out of range.

    Example:
        >>> import torch
        >>> from glassbit import models
        >>> objective = SaliencyGuided(models.cnn_bn(classes=3), k=0.5)
        >>> losses = objective(torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.tensor([0, 2]))
        >>> losses.total.backward()

    Ismail et al. 2021 (arXiv 2111.14338), algorithm 1 and equation 1.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        k: float = 0.5,
        weight: float = 1.0,
        ranking: Ranking = "magnitude",
        fill: Fill = "uniform",
        gradient: Gradient = "shared",
        detach: bool = False,
        batchnorm: MaskedBatchNorm = "clean",
        ramp: float = 0.0,
    ) -> None:
        super().__init__(model, k=k, weight=weight, fill=fill, detach=detach, batchnorm=batchnorm, ramp=ramp)
        _check_choice("SaliencyGuided", "ranking", ranking, Ranking)
        _check_choice("SaliencyGuided", "gradient", gradient, Gradient)
        self.ranking: Ranking = ranking
        self.gradient: Gradient = gradient

    def choose(self, x: Float[Tensor, "n c h w"], labels: Integer[Tensor, " n"]) -> tuple[Tensor, Float[Tensor, "n p"]]:
        """Return the clean pass and the size of the gradient at every pixel.

        Raises:
            UsageError: under `torch.inference_mode`, which no gradient comes out of.
        """
        if torch.is_inference_mode_enabled():
            raise UsageError(
                "SaliencyGuided: must be able to take a gradient, to know which pixels to mask; got "
                "torch.inference_mode; use torch.no_grad() to evaluate the loss, under which it takes that gradient"
            )
        x = x.requires_grad_() if self.gradient == "shared" else x
        with torch.enable_grad():
            if self.gradient == "shared":
                logits = self.logits(x, labels)
                (gradient,) = torch.autograd.grad(_true_logits(logits, labels), x, retain_graph=True)
            else:
                with evaluating(self.model):
                    probe = x.clone().requires_grad_()
                    (gradient,) = torch.autograd.grad(_true_logits(self.logits(probe, labels), labels), probe)
                logits = self.model(x)
        scores = gradient.abs() if self.ranking == "magnitude" else gradient
        return logits, scores.mean(1).flatten(1)


class RandomMasking(MaskedConsistency):
    """The control of saliency-guided training: the same objective, the pixels drawn at random.

    Args:
        model: takes float images in [0, 1] and returns logits.
        k, weight, fill, detach, batchnorm, ramp: see `MaskedConsistency`.

    Raises:
        UsageError: an option is out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        k: float = 0.5,
        weight: float = 1.0,
        fill: Fill = "uniform",
        detach: bool = False,
        batchnorm: MaskedBatchNorm = "clean",
        ramp: float = 0.0,
    ) -> None:
        super().__init__(model, k=k, weight=weight, fill=fill, detach=detach, batchnorm=batchnorm, ramp=ramp)

    def choose(self, x: Float[Tensor, "n c h w"], labels: Integer[Tensor, " n"]) -> tuple[Tensor, Float[Tensor, "n p"]]:
        """Return the clean pass and a random number per pixel."""
        n, _, h, w = x.shape
        return self.logits(x, labels), torch.rand(n, h * w, device=x.device)


def _true_logits(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.gather(1, labels[:, None]).sum()


def _check_choice(owner: str, name: str, value: Any, choices: Any) -> None:
    words = get_args(choices)
    require(owner, name, is_word(value, words), f"one of {', '.join(words)}", value, f"the default is {words[0]!r}")
