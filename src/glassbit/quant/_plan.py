"""Which layer gets how many bits, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import NoneType
from typing import Literal, get_args

from glassbit._arguments import is_real, is_whole, is_word, shown
from glassbit._errors import UsageError
from glassbit._quantizers import ACTIVATIONS, SIGNED_BITS, WEIGHTS
from glassbit._takes import TEXT, check_kind, number, several, takes

from ._named import Activations, Weights, why_not
from ._quantizer import ActivationQuantizer, WeightQuantizer

Edges = Literal["8", "full", "same"]

FLOAT_BITS = 32


@dataclass(frozen=True)
class Rule:
    """Bits for the layers whose name matches a glob.

    Args:
        layers: a shell glob on layer names, e.g. `stage1.*`; `*` is every layer. A call of an activation goes by its
            own name (`relu.1`; `relu` where there is one call), by the module's (`relu`), and by that of the weight
            layer that is called before it.
        weight: bits of the weights, 2..8, or 32 to leave them in full precision.
        activation: bits of the activation behind the layer, 2..8, or 32.
        depth: the share of the network that the rule speaks of, by position of the weight layer: [from, to) in [0, 1].

    Raises:
        UsageError: a number is out of range.
    """

    layers: str
    weight: int
    activation: int
    depth: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        for name, bits in (("weight", self.weight), ("activation", self.activation)):
            if not is_whole(bits) or bits not in (*range(2, 9), FLOAT_BITS):
                raise UsageError(f"Rule: {name} must be 2..8 bits, or 32 for full precision; got {shown(bits)}")
        if not isinstance(self.layers, str):
            raise UsageError(f'Rule: layers must be a text; got {shown(self.layers)}; "*" is every layer')
        pair = isinstance(self.depth, tuple | list) and len(self.depth) == 2 and all(map(is_real, self.depth))
        if not pair or not 0 <= self.depth[0] < self.depth[1] <= 1:
            raise UsageError(
                f"Rule: depth must be [from, to) with 0 <= from < to <= 1; got {shown(self.depth)}; (0.0, 1.0) is all"
            )

    def matches(self, names: tuple[str, ...], depth: float) -> bool:
        """Whether the rule speaks of a layer with one of these names at this depth."""
        low, high = self.depth
        inside = low <= depth < high or (depth >= 1 == high)
        return inside and any(fnmatchcase(name, self.layers) for name in names)


@dataclass(frozen=True)
class Plan:
    """Bit widths for a network: rules, the last that matches a layer wins, then the rule for the first and the last
    layer.

    Args:
        name: how tables and run ids call the plan.
        rules: read in order.
        edges: the first and the last weight layer, and the activation that feeds the last one: `"8"` bits, `"full"`
            precision, or `"same"` as the rules say. A rule that names the layer without a wildcard wins over it.
        weights: the weight quantizer, a name or a class of your own (a `WeightQuantizer`). At 8 bits one without zero,
            as `dorefa` is, gives way to `sawb`: its codes do not fit int8.
        activations: the activation quantizer, a name or a class of your own (an `ActivationQuantizer`).
        alpha: the first clipping level of every activation, or `"data"`: to be set from images by `calibrate_`; never
            above the ceiling that the activation has itself, as ReLU6 does.
        signed: bits, 2..8, of the signed codes that integer arithmetic makes where no quantizer rounds: behind linear
            bottlenecks and plain sums, of the operands of sums, before a GELU and the like.

    Raises:
        UsageError: an option is not one of those several.

    Example:
        >>> Plan.named("w4a2").rules[0]
        Rule(layers='*', weight=4, activation=2, depth=(0.0, 1.0))
    """

    name: str
    rules: tuple[Rule, ...]
    edges: Edges = "8"
    weights: Weights = "sawb"
    activations: Activations = "pact"
    alpha: float | Literal["data"] = 10.0
    signed: int = SIGNED_BITS

    def __post_init__(self) -> None:
        check_kind("Plan", "name", TEXT, self.name)
        for field, value, choices, contract in (
            ("edges", self.edges, get_args(Edges), NoneType),
            ("weights", self.weights, tuple(WEIGHTS), WeightQuantizer),
            ("activations", self.activations, tuple(ACTIVATIONS), ActivationQuantizer),
        ):
            if must := why_not(value, choices, contract):
                raise UsageError(f"Plan {self.name}: {field} must be {must}; got {shown(value)}")
        if not is_word(self.alpha, ("data",)) and not (is_real(self.alpha, 0) and float(self.alpha) > 0):
            raise UsageError(f'Plan {self.name}: alpha must be a positive number or "data"; got {shown(self.alpha)}')
        if not is_whole(self.signed) or self.signed not in range(2, 9):
            raise UsageError(
                f"Plan {self.name}: signed must be 2..8 bits; got {shown(self.signed)}; leave it out for 8"
            )
        if not isinstance(self.rules, tuple | list) or not all(isinstance(rule, Rule) for rule in self.rules):
            must, repair = "rules must be a tuple of glassbit.quant.Rule", 'e.g. (Rule("*", 4, 4),)'
            raise UsageError(f"Plan {self.name}: {must}; got {shown(self.rules)}; {repair}")
        if not self.rules:
            raise UsageError(f'Plan {self.name}: rules must be one or more; got none; add one, e.g. Rule("*", 4, 4)')

    @classmethod
    def named(
        cls,
        name: str,
        *,
        edges: Edges = "8",
        weights: Weights = "sawb",
        activations: Activations = "pact",
        alpha: float | Literal["data"] = 10.0,
        signed: int = SIGNED_BITS,
    ) -> Plan:
        """One of the named plans (`NAMED_PLANS`): `w<W>a<A>` everywhere, or `layers-4-2`, the first half at 4 bits and
        the second at 2.

        Raises:
            UsageError: there is no plan of that name.
        """
        if not is_word(name, tuple(NAMED_PLANS)):
            raise UsageError(f"plan must be one of {', '.join(NAMED_PLANS)}; got {shown(name)}; pass one of them")
        return cls(
            name,
            NAMED_PLANS[name],
            edges=edges,
            weights=weights,
            activations=activations,
            alpha=alpha,
            signed=signed,
        )

    @takes(names=several(TEXT), depth=number(0, 1, usual=0.5))
    def bits(self, names: tuple[str, ...], depth: float) -> tuple[int, int]:
        """Return the (weight, activation) bits of a layer by the rules, without `edges`; (32, 32) if none matches.

        Args:
            names: the names it goes by; see `Rule.layers`.
            depth: its position in the network, 0..1.

        Raises:
            UsageError: one of them is not what it must be.
        """
        matching = [rule for rule in self.rules if rule.matches(names, depth)]
        return (matching[-1].weight, matching[-1].activation) if matching else (FLOAT_BITS, FLOAT_BITS)

    @takes(names=several(TEXT))
    def names_exactly(self, names: tuple[str, ...]) -> bool:
        """Whether a rule spells one of the names out, without a wildcard."""
        return any(rule.layers in names for rule in self.rules)


def _uniform(weight: int, activation: int) -> tuple[Rule, ...]:
    return (Rule("*", weight, activation),)


NAMED_PLANS = {
    "w2a2": _uniform(2, 2),
    "w3a3": _uniform(3, 3),
    "w4a4": _uniform(4, 4),
    "w8a8": _uniform(8, 8),
    "w4a2": _uniform(4, 2),
    "w2a4": _uniform(2, 4),
    "layers-4-2": (Rule("*", 4, 4, depth=(0.0, 0.5)), Rule("*", 2, 2, depth=(0.5, 1.0))),
}
