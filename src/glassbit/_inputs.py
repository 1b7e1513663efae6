"""What images and labels must be: one check for everything that takes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from ._count import counted
from ._errors import UsageError

SLACK = 0.5 / 255
"""How far a value may lie outside [0, 1]: it still rounds to a pixel 0..255, as after a resize or a float32 product."""

_OVERSHOOT = 0.25
_BYTES = 255.5
_WORDS = 65535.5
_SIZES = ("expected input", "cannot be multiplied", "greater than actual input size", "is too small", "must match")
_TYPES = ("same dtype", "same type", "should be the same", "expected scalar type", "not implemented for", "dtypes")
_TEXT = 200


class PixelNetwork(nn.Module):
    """Marks networks that take images as uint8 or in [0, 1] and normalise them themselves."""


def check_images(
    owner: str,
    images: Any,
    *,
    shape: tuple[int, int, int] | None = None,
    scaled: bool = True,
    empty: bool = False,
    arrays: bool = False,
    values: bool = True,
    meta: bool = True,
) -> Tensor:
    """`images` itself, as a tensor, when it is a batch of images.

    Args:
        owner: what takes them, for the message.
        images: a tensor `(n, c, h, w)`.
        shape: channels, height and width, where they are known.
        scaled: uint8, or floating point in [0, 1]; when False anything finite that the network itself takes, rows of
            features `(n, f)` too.
        empty: whether there may be no image.
        arrays: whether NumPy arrays are taken too.
        values: whether the values of floating-point images are looked at, which waits for a GPU.
        meta: whether tensors on the meta device, which have no values, are taken.

    Raises:
        UsageError: with what was expected, what was found, and the repair.
    """
    size = "c, h, w" if shape is None else ", ".join(map(str, shape))
    must = f"{owner}: images must be (n, {size}), " + ("uint8 or floating point in [0, 1]" if scaled else "finite")
    if arrays and isinstance(images, np.ndarray):
        images = _from_numpy(must, images)
    if not isinstance(images, Tensor):
        raise UsageError(f"{must}; got {_kind(images)}; {_as_tensor(images)}")
    _check_dense(must, "images", images, meta)
    _check_form(must, images, shape, scaled=scaled, empty=empty)
    if values and images.is_floating_point() and images.numel() and readable(images):
        _check_values(must, images, scaled)
    return images


def check_labels(
    owner: str,
    labels: Any,
    n: int,
    classes: int | None = None,
    *,
    name: str = "labels",
    values: bool = True,
    meta: bool = True,
) -> Tensor:
    """`labels` as int64, when they are a class number for each of `n` images.

    Args:
        owner: what takes them, for the message.
        labels: integers `(n,)`.
        n: the number of images.
        classes: the number of classes, where it is known.
        name: how the argument is called.
        values: whether they are looked at, which waits for a GPU.
        meta: whether a tensor on the meta device, which has no values, is taken.

    Raises:
        UsageError: with what was expected, what was found, and the repair.
    """
    last = "" if classes is None else f" 0..{classes - 1}"
    must = f"{owner}: {name} must be {counted(n, 'class number')}{last} as integers, one per image"
    if not isinstance(labels, Tensor):
        raise UsageError(f"{must}; got {_kind(labels)}; pass torch.as_tensor({name})")
    _check_dense(must, name, labels, meta)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        repair = f"use {name}.argmax(1)" if labels.ndim == 2 else f"use {name}.long()"
        raise UsageError(f"{must}; got {_name(labels)} of the shape {tuple(labels.shape)}; {repair}")
    if tuple(labels.shape) != (n,):
        repair = "use " + (f"{name}.flatten()" if labels.numel() == n else "as many labels as images")
        raise UsageError(f"{must}; got the shape {tuple(labels.shape)}; {repair}")
    numbers: Tensor = labels.long()
    if values and n and readable(numbers):
        low, high = (int(value) for value in torch.stack(torch.aminmax(numbers)).tolist())
        if low < 0:
            raise UsageError(f"{must}; got {low}; number the classes from 0 and leave out images without a class")
        if classes is not None and high >= classes:
            wanted = counted(high + 1, "class", "classes")
            raise UsageError(f"{must}; got {high}; number the classes from 0, or build the network for {wanted}")
    return numbers


def check_network(owner: str, model: Any, *, name: str = "model", runs: bool = True) -> None:
    """Refuse what is no network that can run.

    Raises:
        UsageError: with what was found, and the repair.
    """
    if not isinstance(model, nn.Module):
        repair = "pass an instance of it" if isinstance(model, type) else "pass the network itself"
        raise UsageError(f"{owner}: {name} must be a torch.nn.Module; got {_kind(model)}; {repair}")
    if runs and type(model).forward is nn.Module.forward and "forward" not in vars(model):
        kind = type(model).__name__
        raise UsageError(f"{owner}: {name} must have a forward; got {kind} without one; put it into a network that has")


def check_dense(owner: str, value: Any, *, name: str = "x") -> None:
    """Refuse what is no dense tensor; cheap enough for every forward pass.

    Raises:
        UsageError: with what was found, and the repair.
    """
    must = f"{owner}: {name} must be a dense tensor"
    if not isinstance(value, Tensor):
        repair = f"use torch.from_numpy({name})" if isinstance(value, np.ndarray) else "pass one tensor"
        raise UsageError(f"{must}; got {_kind(value)}; {repair}")
    if value.layout != torch.strided or value.is_quantized or value.is_nested:
        _check_dense(must, name, value, meta=True)


def readable(tensor: Tensor) -> bool:
    """Whether the values can be read: there are some, and nobody is tracing."""
    return not (
        tensor.is_meta
        or isinstance(tensor, FakeTensor)
        or torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
    )


def in_precision_of(model: nn.Module, images: Tensor) -> Tensor:
    """Floating-point images in the dtype of the network's parameters; others, and those of a network without, as they
    are.
    """
    if not images.is_floating_point():
        return images
    like = next((parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()), images.dtype)
    return images.to(like)


@contextmanager
def running(owner: str, images: Tensor) -> Iterator[None]:
    """Inside, a network runs on `images`; what torch says of sizes and types that do not fit becomes a `UsageError`."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError) or not any(part in text for part in (*_SIZES, *_TYPES)):
            raise
        raise UsageError(
            f"{owner}: images must be of the channels, size and type that the network takes; got "
            f"{_name(images)} of the shape {tuple(images.shape)}: {text.splitlines()[0][:_TEXT]}; convert the images, "
            "or build the network for them"
        ) from error


def _check_dense(must: str, name: str, tensor: Tensor, meta: bool) -> None:
    if tensor.is_nested:
        raise UsageError(f"{must}; got a nested tensor; pass one dense tensor")
    if tensor.is_quantized:
        raise UsageError(f"{must}; got a quantized tensor, {_name(tensor)}; use {name}.dequantize()")
    if tensor.layout != torch.strided:
        raise UsageError(f"{must}; got {_name(tensor)} {tensor.layout}; use {name}.to_dense()")
    if tensor.is_meta and not meta:
        raise UsageError(f"{must}; got a tensor on the meta device, which has no values; pass one that holds them")


def _check_form(must: str, images: Tensor, shape: tuple[int, int, int] | None, *, scaled: bool, empty: bool) -> None:
    if images.ndim != 4 and (scaled or images.ndim != 2):
        repair = "add an axis to a single image, images[None]" if images.ndim == 3 else "arrange them so"
        raise UsageError(f"{must}; got the shape {tuple(images.shape)}; {repair}")
    if shape is not None and tuple(images.shape[1:]) != shape:
        raise UsageError(f"{must}; got {_name(images)} of the shape {tuple(images.shape)}; {_resize(images, shape)}")
    if not len(images) and not empty:
        raise UsageError(f"{must}; got none; pass at least one image")
    if images.dtype.is_complex:
        raise UsageError(f"{must}; got {_name(images)}; pass real numbers")
    if scaled and not images.is_floating_point() and images.dtype != torch.uint8:
        raise UsageError(f"{must}; got {_name(images)}{_span(images)}; {_from_integers(images)}")


def _check_values(must: str, images: Tensor, scaled: bool) -> None:
    low, high = (float(value) for value in torch.stack(torch.aminmax(images.detach())).tolist())
    if not (np.isfinite(low) and np.isfinite(high)):
        count = int((~images.detach().isfinite()).sum())
        raise UsageError(
            f"{must}; got {_name(images)} with {count} of {images.numel()} values NaN or infinite; look for a division "
            "by zero where they are made, or leave those images out"
        )
    if scaled and not (low >= -SLACK and high <= 1 + SLACK):
        raise UsageError(f"{must}; got {_name(images)} from {low:.4g} to {high:.4g}; {_rescaling(low, high)}")


def _rescaling(low: float, high: float) -> str:
    if low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT:
        return "a resize or an augmentation went past black or white; use images.clamp(0, 1)"
    if low < -SLACK:
        return (
            "undo the standardisation (images * std + mean) and let the network do it, as "
            "glassbit.models.Classifier(network, mean=mean, std=std) does"
        )
    if high <= _BYTES:
        return "divide by 255, or use images.round().to(torch.uint8)"
    return "divide by 65535" if high <= _WORDS else f"divide by the largest value that they can have, here {high:.4g}"


def _from_integers(images: Tensor) -> str:
    if images.dtype == torch.bool:
        return "use images.float()"
    if not images.numel() or not readable(images):
        return "use images.to(torch.uint8) if they are 0..255"
    low, high = (int(value) for value in torch.stack(torch.aminmax(images.to(torch.int64))).tolist())
    if low < 0:
        return f"add {-low} so that they start at 0, and scale them to 0..255"
    return "use images.to(torch.uint8)" if high <= _BYTES else "scale them to [0, 1]: images / 65535 for 16 bits"


def _span(images: Tensor) -> str:
    if images.dtype == torch.bool or not images.numel() or not readable(images):
        return ""
    low, high = torch.stack(torch.aminmax(images.to(torch.int64))).tolist()
    return f" from {low} to {high}"


def _from_numpy(must: str, images: np.ndarray[Any, Any]) -> Tensor:
    try:
        return torch.from_numpy(np.array(images, images.dtype.newbyteorder("="), order="C"))
    except TypeError as error:
        raise UsageError(f"{must}; got a NumPy array of {images.dtype}; use images.astype(numpy.float32)") from error


def _resize(images: Tensor, shape: tuple[int, int, int]) -> str:
    if tuple(images.shape[1:]) == (*shape[1:], shape[0]):
        return "put the channels first, images.permute(0, 3, 1, 2)"
    return "resize them, or take a network that was made for this shape"


def _as_tensor(images: Any) -> str:
    return (
        "use torch.from_numpy(images)"
        if isinstance(images, np.ndarray)
        else "pass one tensor, e.g. torch.stack(images)"
    )


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"a NumPy array of {value.dtype}"
    return f"{value!r}" if value is None or isinstance(value, int | float) else f"a {type(value).__name__}"


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
