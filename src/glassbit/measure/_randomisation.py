"""What is left of a map when the network forgets, layer by layer from the top, what it has learned."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, Shaped
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._inputs import check_images
from glassbit._random import derive
from glassbit._sound import copied
from glassbit._takes import FUNCTION, WHOLE, takes
from glassbit.deploy import Deployed, reestimate_
from glassbit.explain import gradient
from glassbit.models import to_unit
from glassbit.quant import ActivationQuantizer, QuantizedConv2d, QuantizedLinear, calibrate_

from ._agreement import spearman
from ._images import SUBJECT
from ._subject import Subject

_BATCH = 250


@dataclass(frozen=True, eq=False)
class Randomisation:
    """How much of the maps is left, step by step.

    Args:
        layers: the layer that each step re-drew, the last one of the network first; those before it stay re-drawn.
        spearman: rank correlation of each image's map with its first one; NaN where one of the two is constant.
    """

    layers: tuple[str, ...]
    spearman: Float64[np.ndarray, "layers n"]


@takes(subject=SUBJECT, seed=WHOLE, progress=FUNCTION)
def randomisation(
    subject: Subject,
    images: Shaped[Tensor, "n c h w"],
    targets: Int64[Tensor, " n"],
    *,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Randomisation:
    """Model parameter randomisation, cascading: re-draw the layers from the top down and compare maps at every step.

        value = Spearman(a(x; theta_1 ... theta_L), a(x; theta_1 ... theta_(l-1), new theta_l ... new theta_L))

    A map that explains the network must change; one that stays shows the image (its edges, say) rather than what was
    learned. It tells nothing about which of two changing maps is better: random upper layers pass on much of what the
    lower ones see (Binder et al. 2023, arXiv 2211.12486).

    A layer is a module with parameters or BatchNorm statistics of its own, in order of definition; `reset_parameters`
    re-draws it. What was re-drawn then settles on the images: clipping levels by `calibrate_`, running statistics by
    `reestimate_`. Without new statistics the signal fades from layer to layer, and the maps of a deep quantized network
    become 0. What is not re-drawn yet stays exactly as it was. All on a copy.

    Args:
        subject: a torch network, float or quantized; not in deployed arithmetic.
        images: uint8, or float in [0, 1]; at least two, better a few hundred.
        targets: the classes to explain.
        seed: of the new weights: a layer's depend on it and on the layer's name alone.
        progress: called with 1 after each layer.

    Raises:
        UsageError: a file, a network in deployed arithmetic, one without parameters or with a module that has some but
            no `reset_parameters`, or fewer than two images.

    Adebayo et al. 2018 (arXiv 1810.03292), section 3, cascading randomization.
    """
    check_images("randomisation", images, shape=subject.image_shape, empty=True, meta=False)
    if len(images) < 2:
        raise UsageError(f"randomisation: images must be two or more; got {len(images)}")
    # as a whole: what training froze settles on the images too
    model = copied("randomisation", _checked(subject)).eval()
    parts = [*_parts(model)]
    x = _inputs(model, images)
    original = gradient(model, images, targets).cpu().numpy()
    layers, values = [], []
    for place, (name, module) in reversed([*enumerate(parts)]):
        if isinstance(module, ActivationQuantizer):
            continue
        _redraw_(name, module, seed)
        _settle_(model, [part for _, part in parts[:place]], [part for _, part in parts[place:]], x)
        layers.append(name)
        values.append(spearman(original, gradient(model, images, targets).cpu().numpy()))
        progress(1)
    return Randomisation(tuple(layers), np.stack(values))


@runtime_checkable
class _Resettable(Protocol):
    def reset_parameters(self) -> None: ...


def _checked(subject: Subject) -> nn.Module:
    """Return the network, where all of it can be re-drawn."""
    if subject.model is None:
        raise UsageError(
            f"randomisation: {subject.name} must be a network with weights to re-draw; got a file, whose weights are "
            "fixed; measure the network that it was made from"
        )
    if any(isinstance(module, Deployed) for module in subject.model.modules()):
        raise UsageError(
            f"randomisation: {subject.name} must be the quantized network; got deployed arithmetic, whose ranges were "
            "set for the trained weights; measure the network that it was made from (`deployed.classifier`)"
        )
    parts = [(name, module) for name, module in _parts(subject.model) if not isinstance(module, ActivationQuantizer)]
    if not parts:
        raise UsageError(f"randomisation: {subject.name} must have parameters to re-draw; got none")
    lacking = [f"{name} ({type(module).__name__})" for name, module in parts if not _is_drawn(module)]
    if lacking:
        raise UsageError(
            f"randomisation: {subject.name} must be able to re-draw all its parameters; got modules that cannot: "
            f"{', '.join(lacking)}; give each one a method reset_parameters() that draws its parameters anew"
        )
    return subject.model


def _parts(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Everything that learns or keeps statistics, in order of definition; a quantized layer counts as one."""
    inside: set[nn.Module] = set()
    for name, module in model.named_modules():
        if module in inside:
            continue
        own = next(module.parameters(recurse=False), None) is not None
        if isinstance(module, QuantizedConv2d | QuantizedLinear):
            inside.update(module.modules())
            own = True
        if own or _is_norm(module):
            yield name or type(module).__name__, module


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats


def _is_drawn(module: nn.Module) -> bool:
    return isinstance(module, _Resettable | QuantizedConv2d | QuantizedLinear)


def _redraw_(name: str, module: nn.Module, seed: int) -> None:
    """Draw new parameters on the CPU, so that they are the same on every device."""
    layer = module.layer if isinstance(module, QuantizedConv2d | QuantizedLinear) else module
    assert isinstance(layer, _Resettable)
    device = next(tensor.device for tensor in (*layer.parameters(), *layer.buffers()))
    layer.to("cpu")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive("randomisation", seed, name))
        layer.reset_parameters()
    layer.to(device)
    if isinstance(module, QuantizedConv2d | QuantizedLinear):
        module.quantizer.initialise_(module.layer.weight)


def _settle_(
    model: nn.Module, kept: Sequence[nn.Module], fresh: Sequence[nn.Module], x: Float[Tensor, "n c h w"]
) -> None:
    """Clipping levels and running statistics of the re-drawn part, in place; both functions set those of the whole
    network, so the others are put back.
    """
    before = [
        (module, copy.deepcopy(module.state_dict()))
        for module in kept
        if isinstance(module, ActivationQuantizer) or _is_norm(module)
    ]
    if any(isinstance(module, ActivationQuantizer) for module in fresh):
        calibrate_(model, x[:_BATCH])
        _restore_(before)
    if any(_is_norm(module) for module in fresh):
        reestimate_(model, x.chunk(-(-len(x) // _BATCH)))
        _restore_(before)


def _restore_(before: Sequence[tuple[nn.Module, dict[str, Tensor]]]) -> None:
    for module, state in before:
        module.load_state_dict(state)


def _inputs(model: nn.Module, images: Shaped[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Return what the network takes, on its device and in its precision."""
    floats = (parameter for parameter in model.parameters() if parameter.is_floating_point())
    like = next(floats, torch.zeros(0))
    return to_unit(images.to(like.device)).to(like.dtype)
