"""A quantized network that computes, and trains, in the arithmetic that it will be deployed in."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from glassbit._errors import ExportError
from glassbit._inputs import PixelNetwork, check_images, check_network, running
from glassbit._takes import check_kind, instance
from glassbit.models import Classifier

from . import _ops
from ._beside import Distance
from ._bounds import too_large
from ._execute import execute
from ._fidelity import check, compare
from ._fold import Folding, Normalization
from ._folded import read_by
from ._incoming import check_pass
from ._intact import check_intact
from ._shifts import set_shifts_
from ._trace import trace


class Deployed(PixelNetwork):
    """A quantized network in integer arithmetic.

        code = clip(round_half_even((acc + B) m 2^-e), low, high),    logits = float32(acc + B) scale

    The forward pass computes what `lower(deployed)` writes down, to the bit, in training and in evaluation. Gradients
    are straight through: weights get their quantizer's, BatchNorm's gamma and beta and biases those of the real numbers
    that m, e and B stand for, clipping levels PACT's (or LSQ's); scales count as constants otherwise. In evaluation the
    masks are taken from the codes, as saliency in every back end is.

    BatchNorm uses its running statistics, in training too (`reestimate_` renews them before), and Dropout does nothing:
    codes that are scaled would be no integers. On another device, or with another number of threads, a weight that lies
    half-way between two codes may fall to the other one, as its layer's scale is a float mean; what `lower` has written
    down is the same everywhere.

    Args:
        model: a `Classifier` with a quantized network, or a quantized network that takes images in [0, 1]; it is kept,
            not copied, so that it trains along.
        images: uint8 or in [0, 1], of the one size that the network will take; from them the operands of sums get their
            range (some hundred are enough).
        fresh: whether clipping levels may still be those of a new network, in whose coarse steps biases vanish.

    Raises:
        UsageError: the network is not quantized, or there is no image.
        ExportError: something in the network has no integer form (every such thing by the name of its layer), or a
            layer's integers are further from fake quantization on `images` than rounding explains (see `_fidelity`).

    Example:
        >>> import torch
        >>> from glassbit import models
        >>> from glassbit.quant import Plan, quantize_
        >>> model = models.Classifier(models.cnn_bn(), mean=(0.3,), std=(0.3,))
        >>> _ = quantize_(model.network, Plan.named("w4a4"))
        >>> images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
        >>> Deployed(model, images)(images).shape
        torch.Size([2, 10])
    """

    shifts: Tensor

    def __init__(self, model: nn.Module, images: Shaped[Tensor, "n c h w"], *, fresh: bool = False) -> None:
        check_network("Deployed", model)
        super().__init__()
        images = check_images("Deployed", images, arrays=True, meta=False)
        check_intact(model)
        self._looked = False
        self.classifier = model
        self.image_shape: tuple[int, int, int] = (images.shape[1], images.shape[2], images.shape[3])
        self.normalization = Normalization.of(model, images.shape[1])
        with running("Deployed", images):
            self.program = trace(model, images, zero=self.normalization.zero)
        device = next((parameter.device for parameter in model.parameters()), images.device)
        self.register_buffer("shifts", torch.zeros(len(self.program.peaks), dtype=torch.int64, device=device))
        set_shifts_(self.folding())
        problems = [*too_large(self.folding())]
        if problems:
            raise ExportError(problems)
        self.training = model.training  # its modules keep their own modes
        check(self.classifier, self.folding(), images, fresh=fresh)

    @property
    def network(self) -> nn.Module:
        """The quantized network."""
        return self.classifier.network if isinstance(self.classifier, Classifier) else self.classifier

    def forward(self, images: Shaped[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Images, uint8 or in [0, 1], to logits.

        Raises:
            UsageError: images of another shape than those that it was made with, or floats outside [0, 1], which would
                be clipped; not looked at where a gradient is asked for, and on a GPU in the first batch only.
        """
        self._looked = check_pass("Deployed", images, self.image_shape, looked=self._looked, meta=self.shifts.is_meta)
        x = _ops.pixels(images)
        with torch.autocast(images.device.type, enabled=False):
            steps = self.folding().run()
            return _ops.walk(steps, read_by, lambda step, read: execute(step, read or (x,), training=self.training))

    def folding(self) -> Folding:
        """Return the way from the parameters to the integers of every step; it is run anew for every pass."""
        return Folding(self.program, self.network, self.normalization, self.shifts)


def distances(deployed: Deployed, images: Shaped[Tensor, "n c h w"]) -> tuple[Distance, ...]:
    """Compare each tensor of the integer network with the same tensor under fake quantization; see `Distance`.

    First the weights of each layer. Then every tensor, where each layer reads the *fake-quantized* codes of the layers
    before it and both forms have the integer weights, so that differences do not pile up.

    Args:
        deployed: the integer network. Its modules, as they are now, are the fake-quantized twin.
        images: uint8 or in [0, 1]; the first 16 are used.

    Returns:
        The distances, weights first, in the order of execution.

    Raises:
        UsageError: `deployed` is none, the images are not of its size, uint8 or in [0, 1], or its modules compute
            something else than their classes.
    """
    check_kind("distances", "deployed", instance(Deployed, "a Deployed", "make it, Deployed(model, images)"), deployed)
    images = check_images("distances", images, shape=deployed.image_shape, arrays=True, meta=False)
    check_intact(deployed.classifier)
    with running("distances", images):
        return compare(deployed.classifier, deployed.folding(), images)
