"""Which modules a quantizer can take the place of."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils import parametrize

from glassbit._sound import home

from ._same import same_pads

ELEMENTWISE = (
    nn.CELU, nn.ELU, nn.GELU, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.LogSigmoid, nn.Mish,
    nn.PReLU, nn.SELU, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Softsign, nn.Tanh,
)  # fmt: skip
"""Activations without a quantizer: the export computes them on codes of 8 bits."""

ELEMENTWISE_FUNCTIONS = frozenset(
    {
        *("celu", "elu", "gelu", "hardsigmoid", "hardswish", "leaky_relu", "logsigmoid", "mish", "prelu"),
        *("selu", "sigmoid", "silu", "softplus", "softsign", "tanh"),
    }
)
"""What the same are called as functions and methods."""

_FORWARDS = (nn.ReLU.forward, nn.ReLU6.forward, nn.Hardtanh.forward)
_SIDES = (12, 13)


def is_activation(module: nn.Module) -> bool:
    """Whether a module is a ReLU with or without a ceiling, or of a subclass that computes the same."""
    kind = type(module)
    relu = isinstance(module, nn.ReLU) or (isinstance(module, nn.Hardtanh) and module.min_val == 0)
    return relu and kind.forward in _FORWARDS and kind.__call__ is nn.Module.__call__


def is_weighted(module: nn.Module) -> bool:
    """Whether a module is a Conv2d or Linear, or of a subclass that computes the same, bit for bit on an example.

    A convolution may pad by itself, as TensorFlow does; see `pads_itself`.
    """
    if type(module) in (nn.Conv2d, nn.Linear):
        return True
    if not isinstance(module, nn.Conv2d | nn.Linear) or home(type(module)).startswith("torch."):
        return False
    if parametrize.is_parametrized(module) or (
        isinstance(module, LazyModuleMixin) and module.has_uninitialized_params()
    ):
        return False
    kind = type(module)
    held = {*module._parameters, *module._buffers, *module._modules}
    if kind.__call__ is not nn.Module.__call__ or held != {"weight", "bias"}:
        return False
    base = nn.Conv2d if isinstance(module, nn.Conv2d) else nn.Linear
    names = [name for name in ("forward", "_conv_forward") if hasattr(base, name)]
    if all(getattr(kind, name) is getattr(base, name) for name in names):
        return True
    return _computes(module, _plain(module, base)) or pads_itself(module)


def pads_itself(module: nn.Module) -> bool:
    """Whether a module is a convolution of a subclass whose forward pads as TensorFlow's "SAME" does."""
    if type(module) is nn.Conv2d or not isinstance(module, nn.Conv2d) or module.padding not in (0, (0, 0)):
        return False
    plain = _plain(module, nn.Conv2d)
    return _computes(module, lambda x: plain(F.pad(x, same_pads(module, *x.shape[2:]))))


def _plain(module: nn.Conv2d | nn.Linear, base: type[nn.Conv2d | nn.Linear]) -> nn.Module:
    """Return the same module as if it were of the base class."""
    plain = copy.copy(module)
    plain.__class__ = base
    return plain


def _computes(module: nn.Conv2d | nn.Linear, wanted: Callable[[Tensor], Tensor]) -> bool:
    """Whether a forward of its own gives the bits of another one, on noise of an even and an odd size."""
    if module.weight.is_meta:
        return False
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for training in (True, False):
            for side in _SIDES:
                own = copy.deepcopy(module).train(training)
                x = _noise(module, side)
                same = False
                with suppress(Exception):  # whatever the code of a user raises; then it is no layer of ours
                    same = torch.equal(own(x), wanted(x))
                if not same:
                    return False
    return True


def _noise(module: nn.Conv2d | nn.Linear, side: int) -> Tensor:
    generator = torch.Generator().manual_seed(side)
    if isinstance(module, nn.Linear):
        shape: tuple[int, ...] = (side, module.in_features)
    else:
        reach = [rate * (size - 1) for rate, size in zip(module.dilation, module.kernel_size, strict=True)]
        shape = (2, module.in_channels, side + reach[0], side + reach[1])
    return torch.randn(shape, generator=generator).to(module.weight)
