"""What a tensor of the forward pass holds, as far as integer arithmetic is concerned."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Int32
from torch import Tensor

from ._program import Pads, Pair

Waiting = tuple[str, Pair, Pair, Pads]
"""A max pool: name, kernel, stride, padding."""


@dataclass(frozen=True)
class Codes:
    """Codes of at most 8 bits with one step.

    Args:
        name: of the tensor.
        unit: of the tensor whose step is theirs: pools keep it.
        low: the least code; None where only folding knows it.
    """

    name: str
    unit: str
    low: int | None = 0


@dataclass(frozen=True)
class Accumulators:
    """Integers that a quantizer must read before anything else does: wide ones, and codes with a step per channel.

    Args:
        name: of the tensor.
        source: of the tensor that holds the integers, where `name` only gives them another scale.
        pools: max pools that came before the quantizer; as it is monotone, they run after it.
    """

    name: str
    source: str
    pools: tuple[Waiting, ...] = ()


@dataclass(frozen=True)
class Padded:
    """Codes with zeros around the map, which the layer that reads them adds."""

    codes: Codes
    pads: Pads


@dataclass(frozen=True, eq=False)
class Arranged:
    """Elements of another tensor, in some order and shape.

    Args:
        of: what the other tensor holds.
        shape: of the other tensor, with the batch.
        places: for each element its place in the other tensor, as if that were flat.
    """

    of: Codes | Accumulators
    shape: tuple[int, ...]
    places: Int32[Tensor, "..."]


@dataclass(frozen=True)
class Unknown:
    """A map or features that a refused operation made: taken for whatever the next operation reads."""


@dataclass(frozen=True)
class Lost(Unknown):
    """Numbers that a refused operation made and that are neither a map nor features."""


@dataclass(frozen=True)
class Stale:
    """What a tensor held, before it was changed in place under another name.

    Args:
        owner: the layer that changed it.
        reason: why it must not be read any more.
    """

    owner: str
    reason: str


Symbol = Codes | Accumulators | Padded | Arranged | Unknown | Stale
UNKNOWN = Unknown()
LOST = Lost()
BLANK = Codes("?", "?")
"""What takes the place of something unknown in a step, which is reported and never run."""


class RefusedError(Exception):
    """Why one operation cannot be deployed; collected, and reported together with all others.

    Args:
        reasons: one or more.
    """

    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = reasons
