"""Image files to pixels."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from glassbit._count import counted
from glassbit._errors import DataError, GlassbitWarning
from glassbit._plain_files import no_file
from glassbit._takes import Kind, instance, several, takes
from glassbit._text import printable

from ._framing import LARGEST, SMALLEST, Framing
from ._images import Images

CHUNK = 512
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""What is read, as Pillow calls them; it knows more, and starts programs for some (Ghostscript for EPS)."""
MOST_PIXELS = 64_000_000
_GREY = ("1", "L", "LA", "La")
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_ORIENTATION = 0x0112
_LOSSES = {
    "opacity": "an alpha channel or a transparent colour: what is transparent becomes white",
    "depth": "16 bits per channel, of which the upper 8 are read",
    "mode": "colours of another kind (CMYK, YCbCr or LAB), which become red, green and blue",
}
_PLAIN = ("1", "L", "RGB", "P")
_OPAQUE = ("LA", "La", "PA", "RGBA", "RGBa")


FILES = several(instance(Path, "a pathlib.Path", "pass paths of image files"), least=1)
FRAMING = instance(Framing, "a glassbit.pictures.Framing", "make one, Framing.of(size=28, resize='crop', color='grey')")
SETTLED = Kind(
    "a settled glassbit.pictures.Framing", lambda value: FRAMING.holds(value) and value.size is not None, "settle it"
)


@dataclass(frozen=True)
class Facts:
    """What the head of an image file says: its colour, its size as it is shown, and what will be lost of it."""

    mode: str
    size: tuple[int, int]
    losses: tuple[str, ...] = ()


@takes(files=FILES, framing=FRAMING)
def settle(files: Sequence[Path], framing: Framing) -> Framing:
    """Look at the head of every file and fix what `framing` leaves open, so that all images come out alike.

    A `GlassbitWarning` says what 8-bit pixels of grey or colour cannot keep: opacity, more bits, other colours.

    Raises:
        DataError: files that are not images, or odd ones, by name; grey among colour; several sizes and none asked for.
    """
    facts: dict[Path, Facts] = {}
    problems: list[tuple[Path, str]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in files:
            try:
                facts[path] = _inspect(path)
            except Exception as error:  # noqa: BLE001 - a damaged file can raise anything
                problems.append((path, _reason(error)))
    _complain(problems)
    color = _one_color(facts) if framing.color == "auto" else framing.color
    for loss, text in _LOSSES.items():
        names = [printable(path.name) for path, fact in facts.items() if loss in fact.losses]
        if names:
            such = f"{counted(len(names), 'image has', 'images have')} {text} (such as {', '.join(names[:3])})"
            warnings.warn(such, GlassbitWarning, stacklevel=2)
    return replace(framing, color=color, size=framing.size or _one_size(facts))


@takes(files=FILES, framing=SETTLED)
def decoded(files: Sequence[Path], framing: Framing, *, advance: Callable[[int], None] | None = None) -> Images:
    """Yield the pixels of `files`, a chunk at a time.

    Args:
        files: image files.
        framing: a settled one.
        advance: told how many more are done.

    Raises:
        DataError: when all have been tried, the files that cannot be decoded.
    """
    assert framing.size is not None
    shape = (framing.channels(3), *framing.size)

    def one(path: Path) -> UInt8[np.ndarray, "c h w"] | str:
        try:
            with _open(path) as image:
                return framing.apply(_upright(image))
        except Exception as error:  # noqa: BLE001 - a damaged file can raise anything
            return _reason(error)

    def chunks() -> Iterator[UInt8[np.ndarray, "k c h w"]]:
        problems: list[tuple[Path, str]] = []
        with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            warnings.simplefilter("ignore")
            for start in range(0, len(files), CHUNK):
                some = files[start : start + CHUNK]
                pixels = np.zeros((len(some), *shape), np.uint8)
                for place, result in enumerate(pool.map(one, some)):
                    if isinstance(result, str):
                        problems.append((some[place], result))
                    else:
                        pixels[place] = result
                yield pixels
                if advance:
                    advance(len(some))
        _complain(problems)

    return Images((len(files), *shape), chunks)


def _open(path: Path) -> ImageFile.ImageFile:
    """Return an image of one of the formats; nothing but a plain file is opened.

    Raises:
        ValueError: it is no file.
    """
    problem = no_file(path)
    if problem is not None:
        raise ValueError(problem)
    return Image.open(path, formats=FORMATS)


def _inspect(path: Path) -> Facts:
    with _open(path) as image:
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise ValueError(f"{width} x {height} pixels; at most {MOST_PIXELS // 10**6} million are read")
        if min(width, height) < SMALLEST:
            raise ValueError(f"{width} x {height} pixels; at least {SMALLEST} a side are needed")
        if image.mode in _DEEP:
            raise ValueError(
                f"pixels of mode {image.mode}; save it with 8 bits per channel, where 65535 is white as "
                "`np.round(np.asarray(image) / 257).astype(np.uint8)`"
            )
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            raise ValueError(f"{getattr(image, 'n_frames', 1)} frames; save the one that is meant")
        other = image.mode not in _PLAIN + _OPAQUE
        losses = {"opacity": _is_transparent(image), "depth": _is_cut(image), "mode": other}
        turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        return Facts(
            "L" if _is_grey(image) else "RGB",
            (width, height) if turned else (height, width),
            tuple(loss for loss, there in losses.items() if there),
        )


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in _OPAQUE or "transparency" in image.info


def _is_cut(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow keeps the upper halves of 16-bit values; it says so only in how it will unpack the file."""
    for tile in getattr(image, "tile", ()):  # Pillow has it on images that are read from files
        args = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if any(isinstance(arg, str) and ";16" in arg and not arg.startswith("BGR") for arg in args):
            return True
        if tile[0].startswith("ppm") and any(isinstance(arg, int) and arg > 255 for arg in args):
            return True
    return False


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P":
        palette = np.array(image.getpalette("RGB")).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return image.mode in _GREY


def _upright(image: Image.Image) -> Image.Image:
    """Return the image in mode "L" or "RGB", rotated as its EXIF says, on white where it is transparent."""
    grey = _is_grey(image)
    image = ImageOps.exif_transpose(image)
    if _is_transparent(image):
        colors = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", colors.size, "white"), colors)
    return image.convert("RGB").convert("L") if grey and image.mode == "P" else image.convert("L" if grey else "RGB")


def _one_color(facts: dict[Path, Facts]) -> Literal["grey", "rgb"]:
    grey = [printable(path.name) for path, fact in facts.items() if fact.mode == "L"]
    if 0 < len(grey) < len(facts):
        other = [printable(path.name) for path, fact in facts.items() if fact.mode != "L"]
        raise DataError(
            f"images must be all grey or all in colour; got {len(grey)} grey (such as {', '.join(grey[:3])}) and "
            f"{len(other)} in colour (such as {', '.join(other[:3])}); choose color='grey' or color='rgb' for all"
        )
    return "grey" if grey else "rgb"


def _one_size(facts: dict[Path, Facts]) -> tuple[int, int]:
    sizes = Counter(fact.size for fact in facts.values())
    if len(sizes) > 1:
        common = ", ".join(f"{width} x {height} ({count})" for (height, width), count in sizes.most_common(3))
        raise DataError(
            f"images must have one size; got {len(sizes)} sizes, width x height: {common}"
            f"{', ...' if len(sizes) > 3 else ''}; choose one for all of them, such as size=64"
        )
    size = next(iter(sizes))
    if max(size) > LARGEST:
        raise DataError(
            f"images must have at most {LARGEST} pixels per side; got {size[1]} x {size[0]}; choose size=, e.g. 224"
        )
    return size


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"not an image that can be read; the formats are {', '.join(FORMATS[:-1])}, PBM, PGM and PPM"
    if isinstance(error, Image.DecompressionBombError):
        return f"too many pixels; at most {MOST_PIXELS // 10**6} million are read"
    if isinstance(error, MemoryError):
        return "more pixels than there is memory for"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return printable(str(error) or type(error).__name__)


def _complain(problems: Sequence[tuple[Path, str]]) -> None:
    if problems:
        count = counted(len(problems), "file that is not", "files that are not")
        lines = [f"  - {printable(path)}: {reason}" for path, reason in problems[:10]]
        more = [f"  ... and {len(problems) - 10} more"] if len(problems) > 10 else []
        raise DataError("\n".join([f"images must be readable files; got {count}; repair or remove:", *lines, *more]))
