"""One name or path in, one data set out."""

from __future__ import annotations

import difflib
import importlib.resources
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from glassbit._catalogue import Entry, catalogue, entry
from glassbit._errors import DataError, GlassbitWarning, UsageError
from glassbit._progress import bar
from glassbit._resize import Resize
from glassbit._takes import FOUND, SWITCH, Kind, is_path, optional, takes, whole
from glassbit._text import listed
from glassbit.pictures import Color, Framing, Images, decoded, settle

from ._arrays import read_npz
from ._cache import cache_folder
from ._clutter import MARKS, clutter
from ._fetch import fetch, missing
from ._folder import scan
from ._official import Arrays, Search, find, read
from ._repeats import lost, marks, shared
from ._split import IN_MEMORY, Dataset, Split
from ._store import collect

CHUNK = 512

NAME = Kind(
    "the name of a data set, or the path of a folder or an .npz file", is_path, 'pass one, such as "fashion-mini"'
)


@takes(
    name=NAME,
    data_dir=optional(FOUND),
    cache_dir=optional(FOUND),
    download=SWITCH,
    progress=SWITCH,
    limit=whole(0, usual=IN_MEMORY),
)
def load(
    name: str | Path,
    *,
    data_dir: Path | str | None = None,
    size: int | tuple[int, int] | None = None,
    resize: Resize = "crop",
    color: Color = "auto",
    cache_dir: Path | str | None = None,
    download: bool = True,
    progress: bool = False,
    limit: int = IN_MEMORY,
) -> Dataset:
    """Load a data set: one of the catalogue, a folder of class folders, or an `.npz` file.

    A folder is `ROOT/train/CLASS/*` with `ROOT/test/CLASS/*` (in small letters or capitals), or `ROOT/CLASS/*`, where a
    fifth of every class (always the same images) becomes the test part, but for copies of training images. Transparent
    parts of an image become white. An `.npz` file holds
    `train_images`, `train_labels`, `test_images`, `test_labels`, if there are class names, `classes`, and where it is
    known what each pixel of the test images is, `test_regions` (see `Dataset`).

    Args:
        name: `fashion-mini`, `mnist`, `fashion-mnist`, `cifar10`, `clutter`, `clutter-shortcut`, `clutter-shuffled`, or
            a path; `./mnist` is a folder of that name.
        data_dir: where files of the catalogue are already, in any official layout; nothing is downloaded then. A
            relative path in `name` starts here.
        size: pixels per side, or height and width, 4 ... 2048. Without it, the images' own size, one for all. Images
            with regions keep theirs.
        resize: "crop" fills the frame and cuts the rest off, "pad" adds black bars, "stretch" distorts.
        color: "grey", "rgb", or "auto" for what the images are, one for all.
        cache_dir: for downloads and mapped images; absent for GLASSBIT_CACHE or the platform's cache folder.
        download: False to stay offline.
        progress: show bars on a terminal.
        limit: images of one part that take more bytes than this are kept in a memory-mapped file in the cache.

    Returns:
        The data set, uint8 images and int64 labels.

    Raises:
        UsageError: an unknown name, an option out of range, or a size for images with regions.
        DataError: files that are missing, unreadable or odd, by name.

    Example:
        >>> from glassbit import datasets
        >>> data = datasets.load("fashion-mini")
        >>> data.train.images.shape, data.classes[:2]
        (torch.Size([6000, 1, 28, 28]), ('T-shirt/top', 'Trouser'))
    """
    framing = Framing.of(size=size, resize=resize, color=color)
    cache_dir = cache_folder(cache_dir)
    known = entry(name) if isinstance(name, str) else None
    if known is not None and known.included:
        holder = _Holder(known.name, (), framing, cache_dir, limit)
        return holder.dataset(_included(known), known.classes)
    if known is not None:
        search = locate(known, data_dir=data_dir, cache_dir=cache_dir, download=download, progress=progress)
        holder = _Holder(known.name, search.paths, framing, cache_dir, limit)
        return holder.dataset(read(known, search), known.classes)
    path = Path(data_dir or ".").expanduser() / Path(name).expanduser()
    if path.is_dir():
        return _from_folder(path, framing=framing, cache_dir=cache_dir, progress=progress, limit=limit)
    if not path.is_file() or path.suffix != ".npz":
        raise _unknown(str(name), path)
    holder = _Holder(path.stem, (path,), framing, cache_dir, limit)
    contents = read_npz(path, name=str(path), collect=holder.whole)
    if contents.scaling:
        warnings.warn(
            f"{path}: its images become 8-bit pixels by `{contents.scaling}`, and the network reads only such pixels: "
            "do the same with whatever it is given",
            GlassbitWarning,
            stacklevel=2,
        )
    return holder.dataset((contents.train, contents.test), contents.classes, scaling=contents.scaling)


def locate(
    known: Entry, *, data_dir: Path | str | None, cache_dir: Path, download: bool, progress: bool = False
) -> Search:
    """Find the files of a catalogue data set, or download them when no `data_dir` is given.

    Raises:
        DataError: they are not there.
    """
    search = find(known, cache_dir if data_dir is None else Path(data_dir).expanduser())
    if search.files is None and data_dir is None and download:
        fetch(known.name, cache_dir=cache_dir, progress=progress)
        search = find(known, cache_dir)
    if search.files is None:
        raise missing(known, search)
    return search


@dataclass(frozen=True)
class _Holder:
    """Makes a data set of arrays, framed as asked, in memory or mapped."""

    name: str
    paths: Sequence[Path]
    framing: Framing
    cache_dir: Path
    limit: int

    def whole(self, part: str, images: Images) -> UInt8[np.ndarray, "n c h w"]:
        """Return the images as they are."""
        return self._collect(images, part, "whole").numpy()

    def dataset(self, parts: tuple[Arrays, Arrays], classes: tuple[str, ...], *, scaling: str = "") -> Dataset:
        """Return the data set."""
        regions = self._regions(parts[1])
        train, test = (self._split(part, arrays) for part, arrays in zip(("train", "test"), parts, strict=True))
        return Dataset(self.name, train, test, classes, regions, scaling)

    def _regions(self, arrays: Arrays) -> UInt8[Tensor, "n h w"] | None:
        if arrays.regions is None:
            return None
        own = arrays.regions.shape[1:]
        if self.framing.size not in (None, own):
            raise UsageError(
                f"{self.name}: its images must keep their height and width, {own[0]} x {own[1]}, because it says of "
                f"every pixel what it is; got {self.framing.size[0]} x {self.framing.size[1]}; leave size out"
            )
        return torch.from_numpy(arrays.regions)

    def _split(self, part: str, arrays: Arrays) -> Split:
        labels = torch.from_numpy(arrays.labels)
        if self.framing.keeps(arrays.images.shape[1:]):
            return Split(torch.from_numpy(np.ascontiguousarray(arrays.images)), labels)
        return Split(self._collect(_reframed(arrays.images, self.framing), part, self.framing), labels)

    def _collect(self, images: Images, part: str, framing: object) -> UInt8[Tensor, "n c h w"]:
        key = (self.name, part, framing, *_stamps(self.paths))
        return collect(lambda: images, key=key, cache_dir=self.cache_dir, limit=self.limit)


def _included(known: Entry) -> tuple[Arrays, Arrays]:
    source = io.BytesIO((importlib.resources.files("glassbit.datasets") / "fashion_mini.npz").read_bytes())
    contents = read_npz(source, name="fashion_mini.npz", collect=_in_memory)
    train, test = contents.train, contents.test
    return clutter(train, test, marks=MARKS[known.name]) if known.layout == "generated" else (train, test)


def _in_memory(_: str, images: Images) -> UInt8[np.ndarray, "n c h w"]:
    return np.concatenate(list(images.chunks()))


def _reframed(images: UInt8[np.ndarray, "n c h w"], framing: Framing) -> Images:
    def chunks() -> Iterator[UInt8[np.ndarray, "k c h w"]]:
        for start in range(0, len(images), CHUNK):
            yield np.stack([framing.apply_pixels(image) for image in images[start : start + CHUNK]])

    height, width = framing.size or images.shape[2:]
    return Images((len(images), framing.channels(images.shape[1]), height, width), chunks)


def _from_folder(root: Path, *, framing: Framing, cache_dir: Path, progress: bool, limit: int) -> Dataset:
    try:
        listing = scan(root)
        parts = {"train": listing.train, "test": listing.test}
        every = [path for items in parts.values() for path, _ in items]
        stamps = _stamps(every)
    except OSError as error:
        raise DataError(
            f"{error.filename or root}: must be readable; got: {error.strerror or error}; allow it"
        ) from error

    @cache
    def settled() -> Framing:
        return settle(every, framing)

    def split(part: str) -> Split:
        paths, labels = [path for path, _ in parts[part]], [label for _, label in parts[part]]
        with bar(f"reading {root.name}/{part}", len(paths), show=progress) as advance:
            images = collect(
                lambda: decoded(paths, settled(), advance=advance),
                key=(part, framing, *stamps),
                cache_dir=cache_dir,
                limit=limit,
            )
        return Split(images, torch.tensor(labels))

    train, test = split("train"), split("test")
    if listing.cut:
        test = _apart(root.resolve().name, train, test, listing.classes, limit)
    return Dataset(root.resolve().name, train, test, listing.classes)


def _apart(name: str, train: Split, test: Split, classes: tuple[str, ...], limit: int) -> Split:
    """Return the test images that are not training images too."""
    kept = ~shared(marks(train), marks(test))
    count = int((~kept).sum())
    if not count:
        return test
    if not kept.any():
        raise DataError(
            f"{name}: test images must not all be training images too; got only copies, pixel for pixel, among those "
            "kept for testing; remove the copies, or make train and test folders"
        )
    gone = lost(classes, test.labels.numpy(), kept)
    warnings.warn(
        f"{name}: {count} of {len(test)} images that were kept for testing are training images too, pixel for pixel, "
        f"and are left out of the test part{f'; it has no image of {listed(gone)} any more' if gone else ''}",
        GlassbitWarning,
        stacklevel=4,
    )
    return test.subset(torch.from_numpy(kept.nonzero()[0]), limit=limit)


def _stamps(paths: Sequence[Path]) -> list[str]:
    """Return what changes when a file does."""
    stats = ((path.resolve(), path.stat()) for path in paths)
    return [f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in stats]


def _unknown(name: str, path: Path) -> Exception:
    names = [known.name for known in catalogue()]
    if path.is_file():
        return DataError(
            f"{path}: must be a folder of class folders or an .npz file; got another kind of file; name one of those"
        )
    if path.suffix == ".npz" or "/" in name or "\\" in name or name.startswith("~"):
        return DataError(
            f"{path}: must be an existing folder of class folders or .npz file; got no such path; check it"
        )
    close = difflib.get_close_matches(name.lower().replace("_", "-"), names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "check the name"
    return UsageError(
        f"data set must be one of {', '.join(names)}, or an existing folder or .npz file; got {name!r}; {hint}"
    )
