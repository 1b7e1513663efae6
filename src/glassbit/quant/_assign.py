"""Which layer gets how many bits: a plan, and the order in which a network calls its layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from ._calls import Calls, FunctionCalls
from ._places import Place, walk
from ._plan import FLOAT_BITS, Plan
from ._sites import ROOT


@dataclass(frozen=True)
class LayerBits:
    """What one layer got.

    Args:
        name: its name in the network.
        kind: a layer with weights, or an activation.
        bits: of its weights, or of its output codes; 32 where the plan leaves it in full precision.
    """

    name: str
    kind: Literal["weight", "activation"]
    bits: int


@dataclass(frozen=True, eq=False)
class Activation:
    """An activation that is replaced by one quantizer per call.

    Args:
        places: where it is registered; the first one gives the name.
        count: calls in one forward pass.
        scope: the module that holds all of its calls, see `Calls`.
        functions: the function calls that it stands for, see `FunctionCalls`; None for a module.
    """

    places: tuple[Place, ...]
    count: int
    scope: str
    functions: FunctionCalls | None = None

    @property
    def name(self) -> str:
        """The name of the module that takes its place."""
        return self.places[0].name

    @property
    def module(self) -> nn.Module:
        """The float activation; of functions the first one, as a module."""
        return self.places[0].module

    @property
    def floats(self) -> tuple[nn.Module, ...]:
        """What each call computes in full precision."""
        return (self.module,) * self.count if self.functions is None else tuple(self.functions.made)

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of its quantizers, in order of calls."""
        return (self.name,) if self.count == 1 else tuple(f"{self.name}.{index}" for index in range(self.count))

    @property
    def fit(self) -> tuple[str, ...]:
        """The names of those that a plan may give bits."""
        if self.functions is None:
            return self.sites
        return tuple(site for site, fit in zip(self.sites, self.functions.fit, strict=True) if fit)


@dataclass(frozen=True)
class Row:
    """A layer that a plan speaks of.

    Args:
        name: its own.
        kind: a layer with weights, or an activation.
        names: all that a rule may call it: its own, and for an activation those of the module that is called.
    """

    name: str
    kind: Literal["weight", "activation"]
    names: tuple[str, ...]


def activations(
    model: nn.Module, calls: Calls | None, is_activation: Callable[[nn.Module], bool]
) -> tuple[Activation, ...]:
    """Return the activations of a network, in order of definition.

    A module that is registered in several places is several activations: one in each place that is called. The places
    that are not called stay with the first of them. Where no calls were seen, each place counts as called once.
    """
    groups: dict[int, list[Place]] = {}
    for place in walk(model, is_activation):
        if is_activation(place.module):
            groups.setdefault(id(place.module), []).append(place)
    made: list[Activation] = []
    for places in groups.values():
        if calls is None:
            made += [Activation((place,), 1, ROOT) for place in places]
            continue
        first, *others = [place for place in places if calls.count(place.name)] or places[:1]
        kept = tuple(place for place in places if place not in others)
        made.append(Activation(kept, calls.count(first.name) or 1, calls.scopes.get(first.name, ROOT)))
        made += [Activation((place,), calls.count(place.name), calls.scopes[place.name]) for place in others]
    if calls is None:
        return tuple(made)
    for functions in calls.functions:
        owner = model.get_submodule(functions.owner)
        place = Place(functions.name, owner, functions.attribute, functions.made[0])
        made.append(Activation((place,), len(functions.made), calls.scopes[functions.name], functions))
    return tuple(made)


def after(activation: Activation, names: Sequence[str]) -> int:
    """Return where functions stand in the order of definition: behind all that is in the module that calls them.

    Args:
        names: of all modules, in that order.
    """
    assert activation.functions is not None
    owner = activation.functions.owner
    inside = [index for index, name in enumerate(names) if not owner or f"{name}.".startswith(f"{owner}.")]
    return inside[-1] if inside else -1


def give_bits(
    rows: Sequence[Row], found: Sequence[Activation], calls: Calls | None, plan: Plan
) -> tuple[tuple[LayerBits, ...], tuple[str, ...]]:
    """Return the bits of each layer, and what the rules call layers that match none.

    Depth, the layer in front of an activation, the first and the last layer, and the activation that feeds the last one
    follow from the order of calls; what is not called counts as behind what is defined before it.

    Args:
        rows: in order of definition.
        found: the activations among them.
        calls: what the network calls; None is the order of definition.
    """
    defined = [row.name for row in rows]
    called = _sequence(found, calls)
    weights = {row.name for row in rows if row.kind == "weight"}
    deep = [name for name in _in_order(defined, called) if name in weights]
    before = _before(defined, weights) | _before(called, weights)
    order = called if weights.intersection(called) else defined
    edges = [name for name in order if name in weights]
    feeding = _feeding(order, weights, edges[-1]) if len(weights) > 1 else None
    layers: list[LayerBits] = []
    without = {rule: None for rule in plan.rules if rule.layers != "*"}
    for row in rows:
        producer = row.name if row.kind == "weight" else before[row.name]
        depth = deep.index(producer) / len(deep) if producer else 0.0
        names = (*row.names, producer)
        without = {rule: None for rule in without if not rule.matches(names, depth)}
        bits = plan.bits(names, depth)[0 if row.kind == "weight" else 1]
        edge = row.name in (edges[0], edges[-1]) if row.kind == "weight" else row.name == feeding
        if edge and not plan.names_exactly(row.names):
            bits = {"8": 8, "full": FLOAT_BITS, "same": bits}[plan.edges]
        layers.append(LayerBits(row.name, row.kind, bits))
    return tuple(layers), tuple(dict.fromkeys(rule.layers for rule in without))


def _sequence(activations_seen: Sequence[Activation], calls: Calls | None) -> list[str]:
    """Return the names of all calls, activations by their call."""
    owner = {place.name: activation for activation in activations_seen for place in activation.places}
    counts: Counter[str] = Counter()
    names: list[str] = []
    for name in calls.order if calls else ():
        activation = owner.get(name)
        site = name if activation is None else activation.sites[counts[activation.name]]
        if activation is None or site in activation.fit:
            names.append(site)
        counts[name if activation is None else activation.name] += 1
    return names


def _in_order(defined: Sequence[str], called: Sequence[str]) -> list[str]:
    first = {name: index for index, name in reversed([*enumerate(called)])}
    position, positions = -1, {}
    for name in defined:
        position = positions[name] = first.get(name, position)
    return sorted(defined, key=lambda name: positions[name])


def _before(order: Sequence[str], weights: set[str]) -> dict[str, str]:
    """Return the layer with weights in front of each activation; an empty name where there is none."""
    producer, before = "", {}
    for name in order:
        if name in weights:
            producer = name
        else:
            before[name] = producer
    return before


def _feeding(order: Sequence[str], weights: set[str], last: str) -> str | None:
    """Return the activation in front of the last call of the last layer."""
    end = len(order) - 1 - order[::-1].index(last)
    return next((name for name in reversed(order[:end]) if name not in weights), None)
