"""What images must be where there are only integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int64

from glassbit._arguments import shown
from glassbit._errors import UsageError
from glassbit._takes import WHOLE, several, takes


@takes(shape=several(WHOLE, count=3))
def check_pixels(images: Any, shape: tuple[int, ...], *, empty: bool = True) -> None:
    """Refuse what an integer network cannot read.

    Args:
        images: pixels 0..255, uint8 `(n, c, h, w)`.
        shape: channels, height, width.
        empty: whether there may be no image.

    Raises:
        UsageError: with what was expected, what was found, and the repair.
    """
    must = f"images must be uint8 of shape (n, {', '.join(map(str, shape))})" + ("" if empty else ", n at least 1")
    if not isinstance(images, np.ndarray):
        raise UsageError(f"{must}, a NumPy array; got a {type(images).__name__}; a tensor's is images.cpu().numpy()")
    if images.dtype != np.uint8:
        raise UsageError(f"{must}; got {images.dtype} of shape {images.shape}{_span(images)}; {_repair(images)}")
    if images.ndim != 4 or images.shape[1:] != shape or (not empty and not len(images)):
        raise UsageError(f"{must}; got {images.dtype} of shape {images.shape}; {_reshape(images, shape)}")


def check_targets(target: Any, images: int, classes: int) -> Int64[np.ndarray, "..."]:
    """`target` as int64, when it is a class, or one for each image.

    Args:
        target: one number, or `(images,)` of them.
        images: how many there are.
        classes: how many there are.

    Raises:
        UsageError: with what was expected, what was found, and the repair.
    """
    must = f"target must be a class number, or {images}, one per image"
    repair = "pass integers, as a number or a NumPy array"
    try:
        given = np.asarray(target)
    except Exception as error:
        raise UsageError(f"{must}; got {shown(target)}; {repair}") from error
    if given.dtype.kind not in "iu" or given.shape not in ((), (images,)):
        raise UsageError(f"{must}; got {given.dtype} of shape {given.shape}; {repair}")
    wrong = [int(number) for number in given.ravel() if not 0 <= number < classes]
    if wrong:
        raise UsageError(f"target must be a class number, 0..{classes - 1}; got {wrong[0]}; {repair} of these")
    return given.astype(np.int64)


def _reshape(images: np.ndarray[Any, Any], shape: tuple[int, ...]) -> str:
    if images.shape == shape:
        return "add an axis to a single image, images[None]"
    if images.ndim == 4 and images.shape[1:] == (*shape[1:], shape[0]):
        return "put the channels first, images.transpose(0, 3, 1, 2)"
    return "resize the images, or export the network for this shape"


def _span(images: np.ndarray[Any, Any]) -> str:
    return f" from {images.min():.4g} to {images.max():.4g}" if images.size and images.dtype.kind in "iuf" else ""


def _repair(images: np.ndarray[Any, Any]) -> str:
    if not images.size or images.dtype.kind not in "iuf" or not np.isfinite([images.min(), images.max()]).all():
        return "pass pixels 0..255 as uint8"
    low, high = images.min(), images.max()
    if images.dtype.kind == "f" and low >= 0 and high <= 1:
        return "use (images * 255).round().astype(numpy.uint8)"
    if low >= 0 and high <= 255:
        return (
            "use images.round().astype(numpy.uint8)" if images.dtype.kind == "f" else "use images.astype(numpy.uint8)"
        )
    return "scale them to 0..255 first; a standardisation is undone by images * std + mean"
