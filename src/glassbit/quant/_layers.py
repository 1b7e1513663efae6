"""Layers that have a weight quantizer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._inputs import check_network
from glassbit._quantizers import SIGNED_BITS
from glassbit._takes import check_kind, instance

from ._kinds import pads_itself
from ._quantizer import WeightQuantizer
from ._same import same_pads

_OF_THE_LAYER = frozenset(
    {
        *("bias", "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"),
        *("padding_mode", "in_features", "out_features"),
    }
)


class NoWeightError(UsageError, AttributeError):
    """Somebody asked a quantized layer for its weight, or for what computes with it."""


class _Quantized(nn.Module):
    """What quantized layers share: a float layer, the quantizer of its weight, and the layer's own settings.

    `bias`, `stride`, `in_features` and the like are those of the float layer. There is no `weight`: it could mean the
    float one, which is trained, or the quantized one, which the layer computes with.
    """

    layer: nn.Conv2d | nn.Linear
    quantizer: WeightQuantizer
    signed: int = SIGNED_BITS
    """The plan's bits of signed codes, see `signed_bits`."""

    def __init__(self, layer: nn.Conv2d | nn.Linear, quantizer: WeightQuantizer) -> None:
        must, repair = "a WeightQuantizer", "pass one, such as glassbit.SAWB(4)"
        check_kind(type(self).__name__, "quantizer", instance(WeightQuantizer, must, repair), quantizer)
        super().__init__()
        self.layer = layer
        self.quantizer = quantizer
        if not layer.weight.requires_grad:
            quantizer.requires_grad_(False)  # a frozen layer computes the same for ever
        self.register_load_state_dict_pre_hook(_accept_float_names)  # type: ignore[no-untyped-call]

    def __getattr__(self, name: str) -> Any:
        if name in _OF_THE_LAYER:
            return getattr(self.layer, name)
        if name == "weight":
            raise NoWeightError(
                f"{type(self).__name__}: weight must be asked for by what it means; layer.layer.weight is the float "
                "weight, which is trained, and layer.quantizer(layer.layer.weight) is what the layer computes with; "
                "call the layer, or leave it in full precision (32 bits in the plan)"
            )
        layer = vars(self).get("_modules", {}).get("layer")
        if layer is not None and not name.startswith("__") and hasattr(layer, name):
            raise NoWeightError(
                f"{type(self).__name__}: {name} must be asked of the float layer, as layer.layer.{name}, where it goes "
                "past the quantizer; call the layer, and change its input or output instead of its weight, or leave it "
                "in full precision (32 bits in the plan)"
            )
        return super().__getattr__(name)

    def _weight(self) -> Tensor:
        if self.layer._parameters and "weight" not in self.layer._parameters and "weight" in vars(self.layer):
            raise UsageError(
                f"{type(self).__name__}: the weight must be a parameter; got one that a hook of the inner layer "
                "computes (pruning, weight norm or spectral norm), which does not run; dequantize_ the network, remove "
                "what computes the weight, and quantize_ it again"
            )
        weight: Tensor = self.quantizer(self.layer.weight)
        return weight

    def extra_repr(self) -> str:
        """Return the settings, for `print(module)` and for the checkpoints of a run."""
        return "" if self.signed == SIGNED_BITS else f"signed={self.signed}"


class QuantizedConv2d(_Quantized):
    """A convolution that runs on quantized weights: `conv(x, quantizer(weight)) + bias`.

    One of a subclass that pads by itself, as TensorFlow does, still does.

    Args:
        layer: the float convolution, kept as it is, its weight the one that is trained.
        quantizer: the weight quantizer.
    """

    layer: nn.Conv2d

    def __init__(self, layer: nn.Conv2d, quantizer: WeightQuantizer) -> None:
        check_kind("QuantizedConv2d", "layer", instance(nn.Conv2d, "a torch.nn.Conv2d", "pass the float layer"), layer)
        super().__init__(layer, quantizer)
        self.pads_itself = pads_itself(layer)

    def pads(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return the zeros beside the layer's own padding: left, right, top, bottom."""
        return same_pads(self.layer, height, width) if self.pads_itself else (0, 0, 0, 0)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k i j"]:
        """Images or feature maps to feature maps."""
        if self.pads_itself:
            x = F.pad(x, self.pads(*x.shape[2:]))
        return cast(Tensor, self.layer._conv_forward(x, self._weight(), self.layer.bias))


class QuantizedLinear(_Quantized):
    """A linear layer that runs on quantized weights: `x quantizer(weight)^T + bias`.

    Args:
        layer: the float layer, kept as it is, its weight the one that is trained.
        quantizer: the weight quantizer.
    """

    layer: nn.Linear

    def __init__(self, layer: nn.Linear, quantizer: WeightQuantizer) -> None:
        check_kind("QuantizedLinear", "layer", instance(nn.Linear, "a torch.nn.Linear", "pass the float layer"), layer)
        super().__init__(layer, quantizer)

    def forward(self, x: Float[Tensor, "... c"]) -> Float[Tensor, "... k"]:
        """Features to features."""
        return F.linear(x, self._weight(), self.layer.bias)


def signed_bits(model: nn.Module) -> int:
    """Return the bits of the codes that integer arithmetic makes of signed values, which no quantizer rounds before.

    Such are the output of a linear bottleneck, a plain sum, and what feeds a curve. The plan's number is kept in every
    quantized layer; where parts of a network have several, the largest counts.
    """
    check_network("signed_bits", model, runs=False)
    layers = [layer for layer in model.modules() if isinstance(layer, QuantizedConv2d | QuantizedLinear)]
    return max((layer.signed for layer in layers), default=SIGNED_BITS)


@contextmanager
def quantized_once(model: nn.Module) -> Iterator[None]:
    """Inside the block every weight of `model` is quantized once, however often the network runs.

    All passes then share one graph from the weight to its quantized values, so that gradients are what they would be.
    The weights must not change inside.

    Args:
        model: any network; one without quantized layers is left alone.
    """
    check_network("quantized_once", model, runs=False)
    layers = [layer for layer in model.modules() if isinstance(layer, QuantizedConv2d | QuantizedLinear)]
    quantizers: list[nn.Module] = [layer.quantizer for layer in layers]
    try:
        for quantizer in quantizers:
            quantizer.forward = cache(quantizer.forward)
        yield
    finally:
        for quantizer in quantizers:
            del quantizer.forward  # the class's own is behind it


def _accept_float_names(_module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Let the weights of the float network load: `conv.weight` is `conv.layer.weight` here."""
    for name in ("weight", "bias"):
        if prefix + name in state:
            state[f"{prefix}layer.{name}"] = state.pop(prefix + name)
