"""The classes of a network and those of a data set, matched by name."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch

from glassbit._errors import GlassbitWarning, UsageError
from glassbit._takes import TEXT, several, takes
from glassbit._text import excerpt, listed

from ._split import DATASET, Dataset, Split

_SHOWN = 10
_LONGEST = 40
"""Characters of a name in a message."""


@takes(classes=several(TEXT), data=DATASET, network=TEXT)
def match_classes(classes: Sequence[str], data: Dataset, *, network: str) -> tuple[int, ...]:
    """Find every class of a data set among those of a network, by name.

    Names that are only the numbers "0", "1", ... are no names: classes are then matched by number, and a
    `GlassbitWarning` says so. It also says where the same names come in another order.

    Args:
        classes: of the network, in the order of its logits.
        data: the data set.
        network: what to call the network.

    Returns:
        For each label of the data set, the logit that stands for it.

    Raises:
        UsageError: the classes differ; the text names both lists.
    """
    ours, theirs = tuple(classes), data.classes
    if ours == theirs:
        return tuple(range(len(ours)))
    numbers_only = [what for what, names in ((network, ours), (data.name, theirs)) if _numbers(names)]
    if len(ours) == len(theirs) and sorted(ours) != sorted(theirs) and numbers_only:
        first, second, *_ = (excerpt(name, _LONGEST) for name in (theirs if _numbers(ours) else ours))
        _say(
            f"{numbers_only[0]} knows its {len(ours)} classes by number only: class 0 is taken for {first}, "
            f"class 1 for {second}, and so on. Give names where it is made, to have them checked"
        )
        return tuple(range(len(ours)))
    if sorted(ours) == sorted(theirs) and not numbers_only and len(set(ours)) == len(ours):
        _say(
            f"{network} has the classes of {data.name} in another order, {listed(ours, longest=_LONGEST)}; they are "
            "matched by name"
        )
        place = {name: i for i, name in enumerate(ours)}
        return tuple(place[name] for name in theirs)
    raise UsageError(
        f"{network}: its classes must be those of {data.name}, in any order; got {_counted(ours, theirs)}, where "
        f"{data.name} has {_counted(theirs, ours)}; {_repair(ours, theirs)}"
    )


@takes(data=DATASET, classes=several(TEXT), network=TEXT)
def with_classes(data: Dataset, classes: Sequence[str], *, network: str) -> Dataset:
    """Return the same images with their labels numbered as in `classes`; `data` itself where that is no change.

    Args:
        data: the data set.
        classes: of the network, in the order of its logits.
        network: what to call the network.

    Raises:
        UsageError: as for `match_classes`.
    """
    places = match_classes(classes, data, network=network)
    if places == tuple(range(len(places))):
        return data
    numbers = torch.tensor(places)
    train, test = (_renumbered(split, numbers) for split in (data.train, data.test))
    return replace(data, train=train, test=test, classes=tuple(classes))


def _renumbered(split: Split, numbers: torch.Tensor) -> Split:
    return split.labelled(numbers[split.labels])


def _numbers(names: Sequence[str]) -> bool:
    """Whether these are what classes without names are called."""
    return tuple(names) == tuple(map(str, range(len(names))))


def _repair(ours: Sequence[str], theirs: Sequence[str]) -> str:
    if sorted(ours) == sorted(theirs) and (_numbers(ours) or _numbers(theirs)):
        return (
            "the order differs, and one of them counts its classes, so 1 may be a name or a number; rename them, such "
            "as class-1, and train again"
        )
    return "give the images the names that the network knows, or train again on these"


def _counted(names: Sequence[str], others: Sequence[str]) -> str:
    """How many there are and which; of many only the beginning, and then those that the others lack."""
    text = f"{len(names)}: {listed(names, longest=_LONGEST)}"
    if len(names) <= _SHOWN:
        return text
    alone = [name for name in names if name not in set(others)]
    return f"{text} (it alone has {listed(alone, longest=_LONGEST)})" if alone else text


def _say(text: str) -> None:
    warnings.warn(text, GlassbitWarning, stacklevel=3)
