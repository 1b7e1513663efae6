"""What every attribution method needs: images in pieces, a class for each, and a model that is left as it was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from glassbit._arguments import is_whole, require, shown
from glassbit._errors import UsageError
from glassbit._inputs import check_images, check_network, running
from glassbit._modes import evaluating
from glassbit.models import to_unit

Images = Shaped[Tensor, "n c h w"] | Shaped[np.ndarray, "n c h w"]
"""uint8, or floating point in [0, 1]."""
AT_ONCE = 4096
"""The most images that go through a network at once, whatever `batch` says."""
Target = Tensor | Shaped[np.ndarray, "..."] | int | np.integer | None
"""A class for all images, one per image as integers (n,), or None for the class that the model predicts."""


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Eval mode and gradients inside the block, whatever surrounds it; every module gets its own mode back, and the
    global random generators their state.
    """
    check_network("saliency", model)
    gpus = sorted({parameter.device.index for parameter in model.parameters() if parameter.is_cuda})
    with evaluating(model), torch.random.fork_rng(gpus), torch.inference_mode(False), torch.enable_grad():
        yield


def taken(images: Images, owner: str = "saliency") -> Shaped[Tensor, "n c h w"]:
    """Images as a tensor.

    Raises:
        UsageError: they are not (n, c, h, w), uint8 or floating point in [0, 1].
    """
    return check_images(owner, images, empty=True, arrays=True, meta=False)


def batches(
    model: nn.Module, images: Shaped[Tensor, "n c h w"], target: Target, *, batch: int
) -> Iterator[tuple[Float[Tensor, "m c h w"], Int64[Tensor, " m"]]]:
    """Pieces of images that were `taken`, as floats on the model's device, each with the classes to explain; inside
    `undisturbed`.

    Raises:
        UsageError: target or batch are not what they must be, or the model does not return logits (n, classes).
    """
    batch = bounded("saliency", batch)
    if not len(images):
        return
    classes = _count_classes(model, on_model(model, images[:1]))
    chosen = None if target is None else _checked(target, len(images), classes)
    for start in range(0, len(images), batch):
        x = on_model(model, images[start : start + batch])
        yield x, _predicted(model, x) if chosen is None else chosen[start : start + batch].to(x.device)


def bounded(owner: str, batch: Any) -> int:
    """How many images go through the network at once.

    Raises:
        UsageError: `batch` is no whole number of at least 1.
    """
    require(owner, "batch", is_whole(batch, 1), "at least 1 image", batch, "the default is 250")
    return min(int(batch), AT_ONCE)


def on_model(model: nn.Module, images: Shaped[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Return a copy of `images` in [0, 1] on the device and in the precision of the model."""
    like = next((parameter for parameter in model.parameters() if parameter.is_floating_point()), None)
    x = to_unit(images if like is None else images.to(like.device))
    return x.detach().clone() if like is None else x.detach().to(like.dtype, copy=True)


def joined(maps: Sequence[Float[Tensor, "_ h w"]], images: Shaped[Tensor, "n c h w"]) -> Float[Tensor, "n h w"]:
    """Return the maps of all pieces, on the device of `images`, at least in single precision."""
    if not maps:
        return torch.zeros(0, *images.shape[2:], device=images.device)
    whole = torch.cat(list(maps)).detach()
    return whole.to(images.device, torch.promote_types(whole.dtype, torch.float32))


@torch.no_grad()
def _predicted(model: nn.Module, x: Float[Tensor, "m c h w"]) -> Int64[Tensor, " m"]:
    return cast(Tensor, model(x)).argmax(1)


@torch.no_grad()
def _count_classes(model: nn.Module, x: Float[Tensor, "1 c h w"]) -> int:
    with running("saliency", x):
        logits = model(x)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 1:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise UsageError(f"saliency: the model must return logits (n, classes); got {got} for one image")
    return logits.shape[1]


def _checked(target: Target, n: int, classes: int) -> Int64[Tensor, " n"]:
    must = f"saliency: target must be a class 0..{classes - 1}, or one per image as integers ({n},), or None"
    if isinstance(target, bool) or not isinstance(target, Tensor | np.ndarray | int | np.integer):
        raise UsageError(f"{must}; got {shown(target)}; pass integers, as a tensor or an array")
    if isinstance(target, Tensor) and target.is_nested:
        raise UsageError(f"{must}; got a nested tensor; pass a dense one that holds integers")
    if isinstance(target, Tensor) and (target.is_floating_point() or target.is_complex()):
        raise UsageError(f"{must}; got {target.dtype} {tuple(target.shape)}")
    if isinstance(target, Tensor) and (target.is_quantized or target.layout != torch.strided or target.is_meta):
        raise UsageError(f"{must}; got a quantized, sparse or meta tensor; pass a dense one that holds integers")
    given = np.asarray(target.cpu() if isinstance(target, Tensor) else target)
    if given.dtype.kind not in "iu" or given.shape not in ((), (n,)):
        raise UsageError(f"{must}; got {given.dtype} {given.shape}")
    low, high = int(given.min()), int(given.max())
    if low < 0 or high >= classes:
        raise UsageError(f"{must}; got {low if low < 0 else high}")
    return torch.tensor(np.broadcast_to(given, (n,)).astype(np.int64))
