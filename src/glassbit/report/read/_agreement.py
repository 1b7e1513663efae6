"""`agreement.json`: how alike the maps of every two runs are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glassbit._arguments import is_real
from glassbit._errors import RunError
from glassbit._files import read_object

from ._study import Group, Run

_AGAIN = "remove it and measure the study again"
KINDS = ("between", "seeds", "ceiling", "zero")
MEASURES = {
    "spearman": "Spearman rank correlation",
    "ssim": "SSIM, 7 × 7 window",
    "iou": "overlap (IoU) of the top 10 % of the pixels",
    "predictions": "share of images with the same prediction",
}


@dataclass(frozen=True)
class Pair:
    """Two runs, or one with itself.

    Args:
        a, b: their ids.
        kind: one of `KINDS`.
        values: by the key of a measure; only those that are known.
    """

    a: str
    b: str
    kind: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Pairs:
    """All pairs of the runs of a group; `images` is how many the maps are compared on, where that is known."""

    pairs: tuple[Pair, ...]
    images: int | None


def read_pairs(group: Group) -> Pairs:
    """Read the file beside the runs; no pairs where there is none.

    Raises:
        RunError: it is not what it should be.
    """
    path = group.runs[0].folder.parent.parent / "agreement.json"
    if not path.is_file():
        return Pairs((), None)
    value = read_object(path, _AGAIN)
    pairs, images = value.get("pairs"), value.get("images")
    if not isinstance(pairs, list) or not all(map(_whole, pairs)):
        must = f"{path}: must list pairs, each with a, b and a kind of {', '.join(KINDS)}"
        raise RunError(f"{must}; got other values; {_AGAIN}")
    ids = {run.id for run in group.runs if run.finished and _is_of(run, value.get("of"))}
    made = (Pair(pair["a"], pair["b"], pair["kind"], _values(pair)) for pair in pairs)
    return Pairs(tuple(pair for pair in made if {pair.a, pair.b} <= ids), images if isinstance(images, int) else None)


def _is_of(run: Run, networks: Any) -> bool:
    """Whether the pairs were made of the network that is measured in the run's folder, as far as the two files say."""
    told = networks.get(run.id) if isinstance(networks, dict) else None
    path = run.folder / "transparency.json"
    if told is None or not path.is_file():
        return True
    try:
        facts = read_object(path, _AGAIN).get("facts")
    except RunError:
        return True  # where the measurement is read, this is said
    return not isinstance(facts, dict) or facts.get("network_digest") in (None, told)


def _values(pair: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(pair[key]) for key in MEASURES if pair.get(key) is not None}


def _whole(pair: Any) -> bool:
    """Whether it has what every pair has; a measure that is undefined is null."""
    return (
        isinstance(pair, dict)
        and all(isinstance(pair.get(key), str) for key in ("a", "b", "kind"))
        and pair["kind"] in KINDS
        and all(pair.get(key) is None or is_real(pair[key]) for key in MEASURES)
    )
