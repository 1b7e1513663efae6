"""`glassbit verify`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from cyclopts import Parameter
from jaxtyping import UInt8

from glassbit._count import counted
from glassbit._errors import UsageError
from glassbit._progress import bar
from glassbit.cli._network_file import ARTIFACT, ONNX, kind_of
from glassbit.cli._say import block, line, table
from glassbit.intgraph import IntGraph, Preprocessing, load

if TYPE_CHECKING:
    from glassbit.runtime import Row

_AT_ONCE, _MOST = 100, 1_000_000
_EMBEDDED = "fashion-mini"
_SEED = 0
_SHORT = {"missing": "skipped", "failed": "failed"}
Compare = Callable[[UInt8[np.ndarray, "n c h w"]], "tuple[Row, ...]"]


def verify(
    file: Annotated[Path, Parameter(help="a .glassbit or .onnx file, as `glassbit export` writes it")],
    /,
    *,
    artifact: Annotated[
        Path | None,
        Parameter(help="the .glassbit file of the same network, to compare an .onnx file with", metavar="FILE"),
    ] = None,
    data: Annotated[
        str | None,
        Parameter(
            help="compare on the test images of this data set; left out: of fashion-mini where they fit, else on "
            "random pixels",
            metavar="NAME",
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, Parameter(help="folder with the files of the catalogue data sets, instead of the cache")
    ] = None,
    images: Annotated[int, Parameter(help="how many", metavar="N")] = 1000,
) -> int:
    """Compare the back ends of this machine."""
    if not 1 <= images <= _MOST:
        raise UsageError(f"--images: must be 1 to {_MOST}; got {images}; choose a number in between")
    if data is None and data_dir is not None:
        raise UsageError("--data-dir: must be used with --data; got no --data; add --data NAME, or leave it out")
    plan = _plan(file, artifact)
    chosen = _images(plan, file, data, data_dir, images)
    rows = _compared(plan.compare, chosen.pixels, file)
    line(f"{file} on {counted(len(chosen.pixels), chosen.noun)} of {chosen.origin},")
    line(f"compared with {plan.reference}")
    line()
    for each in table(("back end", "logits"), [(row.backend, _words(row, plan.classes)) for row in rows], left=2):
        line(each)
    line()
    for row in rows:
        if row.note:
            line(f"{row.backend} {_SHORT[row.outcome]}: {row.note}", keep="\n")
    wrong = [row.backend for row in rows if row.outcome in ("differs", "failed")]
    equal = sum(row.outcome == "equal" for row in rows)
    if wrong:
        block(
            "\n".join(
                [
                    f"glassbit: {counted(len(wrong), 'back end does', 'back ends do')} not compute the same:",
                    *map("  - {}".format, wrong),
                ]
            )
        )
    elif not equal:
        block("glassbit: there was nothing to compare with; the table says what is missing")
    else:
        line(f"every logit is equal, to the bit, in {counted(equal, 'way', 'ways')} to run it")
    return 0 if equal and not wrong else 1


@dataclass(frozen=True)
class _Plan:
    """What is compared with what.

    Args:
        classes, preprocessing: of the network.
        reference: what the others are compared with, in words.
        compare: runs images through everything.
    """

    classes: tuple[str, ...]
    preprocessing: Preprocessing
    reference: str
    compare: Compare


@dataclass(frozen=True)
class _Chosen:
    """Images, and what they are."""

    pixels: UInt8[np.ndarray, "n c h w"]
    noun: str
    origin: str


def _plan(file: Path, artifact: Path | None) -> _Plan:
    kind = kind_of(file)
    if kind == ARTIFACT and artifact is not None:
        raise UsageError(f"--artifact: must be used with FILE that ends with {ONNX}; got {file}")
    if artifact is not None and kind_of(artifact) != ARTIFACT:
        raise UsageError(f"--artifact: must end with {ARTIFACT}; got {artifact}")
    if kind == ONNX and artifact is None:
        return _settings(file)
    graph = load(file if artifact is None else artifact)
    if kind == ONNX:
        _fits(file, graph)

    def compare(pixels: UInt8[np.ndarray, "n c h w"]) -> tuple[Row, ...]:
        from glassbit.backends import BACKENDS
        from glassbit.runtime import verify

        return verify(graph, pixels, model=file if kind == ONNX else None, backends=BACKENDS)

    return _Plan(graph.classes, graph.preprocessing, "the definition in NumPy integers", compare)


def _settings(file: Path) -> _Plan:
    """Return the comparison for an ONNX file: the settings of ONNX Runtime with each other."""
    from glassbit.backends import BACKENDS
    from glassbit.runtime import Session, verify_settings

    session = Session(file)
    content = file.read_bytes()
    words = "ONNX Runtime without optimisations, one image at a time (--artifact compares with the definition)"
    return _Plan(session.classes, session.preprocessing, words, partial(verify_settings, content, backends=BACKENDS))


def _fits(file: Path, graph: IntGraph) -> None:
    from glassbit.runtime import Session

    session = Session(file)
    if (session.classes, session.preprocessing) != (graph.classes, graph.preprocessing):
        raise UsageError(f"--artifact: must be of the same network as {file}; got other classes or images")


def _images(plan: _Plan, file: Path, data: str | None, data_dir: Path | None, count: int) -> _Chosen:
    """Return the images to compare on."""
    wanted = plan.preprocessing
    shape = (wanted.channels, wanted.height, wanted.width)
    torch = importlib.util.find_spec("torch") is not None
    if data is None and not (torch and shape == (1, 28, 28)):
        random = np.random.default_rng(_SEED).integers(0, 256, (count, *shape), np.uint8)
        why = "need torch" if shape == (1, 28, 28) else "have another size; --data names a data set"
        return _Chosen(random, "image", f"random pixels (those of {_EMBEDDED} {why})")
    if not torch:
        raise UsageError("--data: PyTorch must be installed, to read a data set; got no such package; leave it out")
    from glassbit import datasets

    name = data or _EMBEDDED
    loaded = datasets.load(
        name,
        data_dir=data_dir,
        size=(wanted.height, wanted.width),
        resize=wanted.resize,
        color="grey" if wanted.channels == 1 else "rgb",
        download=False,
        progress=True,
    )
    if data is not None:
        datasets.match_classes(plan.classes, loaded, network=str(file))
    pixels = loaded.test.images[:count].numpy()
    return _Chosen(np.ascontiguousarray(pixels), "test image", loaded.name)


def _compared(compare: Compare, pixels: UInt8[np.ndarray, "n c h w"], file: Path) -> tuple[Row, ...]:
    """Return a row per back end, over all images, a batch at a time."""
    rows: tuple[Row, ...] = ()
    with bar(f"comparing {file.name}", len(pixels), show=True) as advance:
        for start in range(0, len(pixels), _AT_ONCE):
            some = compare(pixels[start : start + _AT_ONCE])
            rows = tuple(map(_joined, rows, some)) if rows else some
            advance(len(pixels[start : start + _AT_ONCE]))
    return rows


def _joined(before: Row, now: Row) -> Row:
    """One row of the same back end on more images."""
    outcomes = (before.outcome, now.outcome)
    maps = [value for value in (before.saliency, now.saliency) if value is not None]
    moved = now.first and (before.images + now.first[0], now.first[1])
    return replace(
        before,
        outcome=next(kind for kind in ("failed", "missing", "differs", "equal") if kind in outcomes),
        note=before.note or now.note,
        images=before.images + now.images,
        differing=before.differing + now.differing,
        first=before.first or moved,
        largest=max(before.largest, now.largest),
        saliency=max(maps, default=None),
    )


def _words(row: Row, classes: tuple[str, ...]) -> str:
    """Return what was found; images count from 0, in the order of the data."""
    if row.outcome in _SHORT:
        return _SHORT[row.outcome]
    maps = _of_the_maps(row)
    if row.first is None:
        return f"equal{maps}"
    image, place = row.first
    where = f"{row.differing:,} of {counted(row.images, 'image')}, first on image {image}, class {classes[place]}"
    return f"differs on {where}, by up to {row.largest:.3g}{maps}"


def _of_the_maps(row: Row) -> str:
    from glassbit.runtime import MAPS

    if row.saliency is None:
        return ""
    if row.saliency > MAPS:
        return f"; maps differ by up to {row.saliency:.1g} of the largest value, and at most {MAPS:.0e} is rounding"
    return f"; maps {f'within {row.saliency:.0e} of the largest value' if row.saliency else 'equal'}"
