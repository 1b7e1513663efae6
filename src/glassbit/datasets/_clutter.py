"""Pictures whose relevant pixels are known: a garment on clutter, with or without a mark that gives its class away."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from glassbit._random import derive

from ._official import Arrays
from ._split import BACKGROUND, OBJECT, SHORTCUT

Marks = Literal["none", "own", "shuffled"]
Window = tuple[Int64[np.ndarray, "n 1 1"], Int64[np.ndarray, "n i 1"], Int64[np.ndarray, "n 1 j"]]

MARKS: dict[str, Marks] = {"clutter": "none", "clutter-shortcut": "own", "clutter-shuffled": "shuffled"}
_SIDE = 64
_BASE = 32
_PATCH, _PATCHES, _DIMMED = 8, 71, 0.4
_SILHOUETTE = 8
_MARK = 5
# one mark per class, row by row
_MARKS = (
    "##### ##### ##### ##### #####",
    "##### #...# #...# #...# #####",
    "..#.. ..#.. ##### ..#.. ..#..",
    "#...# .#.#. ..#.. .#.#. #...#",
    "##### ..... ##### ..... #####",
    "#.#.# #.#.# #.#.# #.#.# #.#.#",
    "...## ..### .###. ###.. ##...",
    "##... ###.. .###. ..### ...##",
    "##### ##### ##... ##... ##...",
    "...## ...## ...## ##### #####",
)


def clutter(train: Arrays, test: Arrays, *, marks: Marks) -> tuple[Arrays, Arrays]:
    """Put every garment at a random place of a grey picture full of patches of other garments.

    The picture is 64 x 64, its base level 32. Over it are pasted, at random places, 71 patches of 8 x 8, cut anywhere
    out of other garments of the same part and dimmed to 0.4; then the garment, through its own silhouette. A mark is a
    sign of 5 x 5 black and white pixels that belongs to one class, at a random place away from the 28 x 28 pixels of
    the garment's own picture. Place and clutter of a garment are the same with every choice of `marks`, and so are the
    places of the marks.

    Args:
        train: garments of 28 x 28 pixels, one channel, classes 0 ... 9.
        test: the same, to test on.
        marks: "none"; "own", where every picture carries the mark of its class in both parts, so that accuracy cannot
            tell whether a network looks at the garment; "shuffled", where the test pictures carry the mark of a class
            that is drawn at random, so that a network which looks at the mark only is right once in ten times.

    Returns:
        The training part, and the test part with its regions: 0 for background, 1 for the garment (its silhouette and
        the pixels that touch it), 2 for the mark (its square and the pixels that touch it).

    The clutter is that of "cluttered translated MNIST": Mnih et al. 2014 (arXiv 1406.6247); the mark stands for the
    source tags that Lapuschkin et al. 2019 (arXiv 1902.10178) found a network to read in photographs of horses.
    """
    signs = (None, None) if marks == "none" else (train.labels, test.labels)
    if marks == "shuffled":
        signs = (train.labels, _below(_bits("marks"), len(_MARKS), len(test.labels)))
    made = _pictures("train", train, signs[0])
    return Arrays(made.images, made.labels), _pictures("test", test, signs[1])


def _pictures(part: str, garments: Arrays, signs: Int64[np.ndarray, " n"] | None) -> Arrays:
    pictures = garments.images[:, 0]
    canvas = _background(pictures, _bits("background", part))
    count, height, width = pictures.shape
    bits = _bits("places", part)
    top, left = (_below(bits, _SIDE - side + 1, count) for side in (height, width))
    silhouettes = _filled(pictures > _SILHOUETTE)
    window = _window(top, left, height, width)
    canvas[window] = np.where(silhouettes, pictures, canvas[window])
    garment = np.zeros(canvas.shape, bool)
    garment[window] = silhouettes
    regions = np.where(_grown(garment), np.uint8(OBJECT), np.uint8(BACKGROUND))
    if signs is not None:
        at = _window(*_beside(top, left, height, width, _bits("mark places", part)), _MARK, _MARK)
        canvas[at] = _marks()[signs]
        mark = np.zeros(canvas.shape, bool)
        mark[at] = True
        regions[_grown(mark)] = SHORTCUT
    return Arrays(canvas[:, None], garments.labels, regions)


def _background(pictures: UInt8[np.ndarray, "n i j"], bits: np.random.PCG64) -> UInt8[np.ndarray, "n h w"]:
    """Patches of other pictures on the base level; they may stand out at every side, so that the border is as full."""
    count, height, width = pictures.shape
    wide = _SIDE + 2 * (_PATCH - 1)
    canvas = np.full((count, wide, wide), _BASE, np.uint8)
    dimmed = np.round(np.arange(256) * _DIMMED).astype(np.uint8)[pictures]
    for _ in range(_PATCHES):
        other = (np.arange(count) + 1 + _below(bits, count - 1, count)) % count
        source, target = _patch(height, width, count, bits), _patch(wide, wide, count, bits)
        canvas[target] = dimmed[other[:, None, None], source[1], source[2]]
    return np.ascontiguousarray(canvas[:, _PATCH - 1 : 1 - _PATCH, _PATCH - 1 : 1 - _PATCH])


def _patch(height: int, width: int, count: int, bits: np.random.PCG64) -> Window:
    top = _below(bits, height - _PATCH + 1, count)
    return _window(top, _below(bits, width - _PATCH + 1, count), _PATCH, _PATCH)


def _beside(
    top: Int64[np.ndarray, " n"], left: Int64[np.ndarray, " n"], height: int, width: int, bits: np.random.PCG64
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Places of the marks: drawn again until mark and frame, each with the pixels around it, have none in common."""
    count = len(top)
    y, x = (_below(bits, _SIDE - _MARK + 1, count) for _ in range(2))
    while True:
        apart = (y + _MARK < top - 1) | (y - 1 > top + height) | (x + _MARK < left - 1) | (x - 1 > left + width)
        if apart.all():
            return y, x
        again = ~apart
        y[again], x[again] = (_below(bits, _SIDE - _MARK + 1, int(again.sum())) for _ in range(2))


def _marks() -> UInt8[np.ndarray, "10 5 5"]:
    white = np.array([list(mark.replace(" ", "")) for mark in _MARKS]) == "#"
    return np.where(white, np.uint8(255), np.uint8(0)).reshape(-1, _MARK, _MARK)


def _filled(mask: Bool[np.ndarray, "n h w"]) -> Bool[np.ndarray, "n h w"]:
    """Return the mask and what it encloses: every pixel with some of the mask to its left, right, top and bottom."""
    reach = np.logical_or.accumulate
    across = reach(mask, axis=2) & reach(mask[:, :, ::-1], axis=2)[:, :, ::-1]
    along = reach(mask, axis=1) & reach(mask[:, ::-1], axis=1)[:, ::-1]
    return across & along


def _grown(mask: Bool[np.ndarray, "n h w"]) -> Bool[np.ndarray, "n h w"]:
    """Return the mask and the pixels that touch it at a side or a corner."""
    grown = mask.copy()
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    rows = grown.copy()
    grown[:, :, 1:] |= rows[:, :, :-1]
    grown[:, :, :-1] |= rows[:, :, 1:]
    return grown


def _window(top: Int64[np.ndarray, " n"], left: Int64[np.ndarray, " n"], height: int, width: int) -> Window:
    """Return the indices of one window in each of n pictures."""
    rows, columns = top[:, None] + np.arange(height), left[:, None] + np.arange(width)
    return np.arange(len(top))[:, None, None], rows[:, :, None], columns[:, None, :]


def _bits(*purpose: str) -> np.random.PCG64:
    """Return the bare bit stream: NumPy promises that it stays as it is, but not what a `Generator` makes of it."""
    return np.random.PCG64(derive("clutter", *purpose))


def _below(bits: np.random.PCG64, bound: int, count: int) -> Int64[np.ndarray, " n"]:
    """Whole numbers 0 ... bound - 1."""
    return (((bits.random_raw(count) >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)
