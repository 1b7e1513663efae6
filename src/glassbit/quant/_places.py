"""Where the modules of a network are registered; activations may be in several places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, eq=False)
class Place:
    """One registration of a module.

    Args:
        name: in the network.
        parent: where it is registered.
        attribute: under which name.
        module: what is registered.
    """

    name: str
    parent: nn.Module
    attribute: str
    module: nn.Module


def walk(model: nn.Module, is_activation: Callable[[nn.Module], bool]) -> Iterator[Place]:
    """Every module below `model`, in order of definition, once; activations once per parent and attribute."""
    seen = {id(model)}

    def below(parent: nn.Module, prefix: str) -> Iterator[Place]:
        for attribute, child in parent._modules.items():
            if child is None or (id(child) in seen and not is_activation(child)):
                continue
            seen.add(id(child))
            yield Place(f"{prefix}{attribute}", parent, attribute, child)
            yield from below(child, f"{prefix}{attribute}.")

    yield from below(model, "")
