"""Clipping levels and steps of activations from data, before training."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._inputs import PixelNetwork, check_images, check_network, in_precision_of, running
from glassbit._modes import train_
from glassbit._random import derive
from glassbit._sound import check_sound, copied

from ._ceiling import ceiling
from ._convert import quantizers
from ._layers import QuantizedConv2d, QuantizedLinear
from ._quantizer import ActivationQuantizer, Quantizer
from ._sites import Sites

_SAMPLES = 100_000


@torch.no_grad()
def calibrate_(model: nn.Module, images: Float[Tensor, "n c h w"]) -> dict[str, float]:
    """Set every activation quantizer to the clipping level with the least squared error on `images`, in place, front to
    back.

        alpha = argmin over a in max(y) {1/60, ..., 60/60} of sum (y - quantize(y; a))^2,    y = clip(x, 0, ceiling)

    where the ceiling is that of the activation which the quantizer replaced: 6 for ReLU6, c for `Hardtanh(0, c)`, none
    for ReLU.

    Runs on a copy, in training mode (statistics of this batch, no Dropout), so BatchNorm's running statistics are
    neither used nor changed; those of frozen layers (in eval mode while the network is in training mode) are used, as
    in training. Each layer sees the quantized activations of those before it. A layer that never fires keeps its level.

    Args:
        model: a network that `quantize_` converted.
        images: what the network takes; some hundred are enough. For a `Classifier` uint8 or in [0, 1]; for another
            network whatever it was trained on, so normalised images where it does not normalise them itself.

    Returns:
        The clipping level of each activation by layer name; empty if there is none, as with tanh.

    Raises:
        UsageError: the model is not quantized or is unsound (values that are not finite or not there,
            scripted modules), its forward asks a quantized layer for what it lacks, or images are not what they must
            be.
    """
    check_network("calibrate_", model)
    check_sound("calibrate_", model)
    originals = {name: module for name, module in quantizers(model) if isinstance(module, ActivationQuantizer)}
    if next(quantizers(model), None) is None:
        raise UsageError("calibrate_: the model must be quantized; got one that is not; call quantize_ first")
    images = check_images("calibrate_", images, scaled=isinstance(model, PixelNetwork), arrays=True, meta=False)
    device = next((parameter.device for parameter in model.parameters()), None)
    twin = copied("calibrate_", model)
    train_(twin)
    for module in twin.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
    states: dict[str, dict[str, Tensor]] = {}
    for name, module in quantizers(twin):
        if isinstance(module, ActivationQuantizer):
            module.register_forward_pre_hook(_Fit(name, states))
    x = images if device is None else images.to(device)
    try:
        with running("calibrate_", images):
            twin(in_precision_of(twin, x))
    except AttributeError as error:
        if isinstance(error, UsageError) or not isinstance(
            error.obj, QuantizedConv2d | QuantizedLinear | Quantizer | Sites
        ):
            raise
        raise UsageError(
            f"calibrate_: forward must ask quantized layers for their output only; got {type(error.obj).__name__}."
            f"{error.name}; keep that value as an attribute of the network's own, or leave the layer in full precision "
            "(32 bits in the plan)"
        ) from error
    for name, module in originals.items():
        if name in states:
            module.load_state_dict(states[name])
    return {name: float(module.level) for name, module in originals.items()}


class _Fit:
    """A hook that sets a quantizer from the first input that it sees."""

    def __init__(self, name: str, states: dict[str, dict[str, Tensor]]) -> None:
        self.name = name
        self.states = states

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self.name in self.states:
            return
        x = inputs[0].detach().float().clamp(0.0, ceiling(module)).flatten()
        if x.numel() > _SAMPLES:
            generator = torch.Generator().manual_seed(derive("calibrate", self.name))
            x = x[torch.randint(x.numel(), (_SAMPLES,), generator=generator).to(x.device)]
        if not 0 < float(x.max()) < float("inf"):
            return
        assert isinstance(module, ActivationQuantizer)
        module.calibrate_(x)
        self.states[self.name] = copy.deepcopy(module.state_dict())
