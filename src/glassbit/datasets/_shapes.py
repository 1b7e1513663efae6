"""Which axis of an array of images is which."""

from __future__ import annotations

from dataclasses import dataclass

from glassbit.pictures import LARGEST, SMALLEST

_CHANNELS = (1, 3)


@dataclass(frozen=True)
class Reading:
    """One way to read the shape of an array of images.

    Args:
        shape: channels, height, width.
        arrange: the axes in the order n, c, h, w; None for images without an axis of channels.
    """

    shape: tuple[int, int, int]
    arrange: tuple[int, int, int, int] | None


def readings(shape: tuple[int, ...]) -> list[Reading]:
    """Every way to read the shape as images; clear where there is one."""
    if len(shape) == 3:
        ways = [Reading((1, *shape[1:]), None)]
    elif len(shape) == 4:
        first = Reading((shape[1], shape[2], shape[3]), (0, 1, 2, 3))
        last = Reading((shape[3], shape[1], shape[2]), (0, 3, 1, 2))
        ways = [way for way in (first, last) if way.shape[0] in _CHANNELS]
    else:
        ways = []
    return [way for way in ways if _fits(way.shape[1:])]


def shape_problem(shape: tuple[int, ...]) -> str:
    """Return what the array must be instead, or nothing where its shape is clear."""
    possible = readings(shape)
    if len(possible) == 1:
        return ""
    if len(possible) > 1:
        return (
            f"must say which axis is the channels; got {shape}; save images[:, 0] where it is the first, or "
            "images[..., 0] where it is the last: grey images need none"
        )
    wanted = "must be (n, h, w), (n, h, w, c) or (n, c, h, w) with c = 1 or 3"
    if len(shape) == 2:
        return f"{wanted}; got {shape}; save images.reshape(-1, HEIGHT, WIDTH), or images[:, None] for rows of pixels"
    if len(shape) == 4 and not {1, 3} & {shape[1], shape[3]}:
        return f"{wanted}; got {shape}{_channels(shape)}"
    if len(shape) in (3, 4):
        sides = shape[1:] if len(shape) == 3 else shape[2:] if shape[1] in _CHANNELS else shape[1:3]
        return f"must have {SMALLEST} ... {LARGEST} pixels per side, or 1 on one of the two; got {sides}"
    return f"{wanted}; got {shape}"


def _fits(sides: tuple[int, ...]) -> bool:
    return max(sides) >= SMALLEST and all(side == 1 or SMALLEST <= side <= LARGEST for side in sides)


def _channels(shape: tuple[int, ...]) -> str:
    """How to get rid of a fourth channel, or of a second."""
    last = shape[3] in (2, 4)
    if not last and shape[1] not in (2, 4):
        return ""
    count = shape[3] if last else shape[1]
    color = 3 if count == 4 else 1
    pixels, opacity = ("images[..., :{}]", "images[..., {}:]") if last else ("images[:, :{}]", "images[:, {}:]")
    pixels, opacity = pixels.format(color), opacity.format(color)
    return (
        f"; where channel {count} is opacity, save `np.round(255 - (255.0 - {pixels}) * ({opacity} / 255))"
        f".astype(np.uint8)` to have it on white; where it is something else, choose channels, such as `{pixels}`"
    )
