"""The network of a recipe: one that comes with Glassbit, or any callable that makes an `nn.Module`."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glassbit import models
from glassbit._errors import UsageError
from glassbit._foreign import calling
from glassbit._modes import evaluating
from glassbit._random import derive
from glassbit._text import brief, excerpt
from glassbit.recipe import ModelRecipe

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Shipped:
    """A network that comes with Glassbit.

    Args:
        make: takes `classes` and `channels`.
        classes: how many the reference has.
        shape: (c, h, w) of the images of the reference.
    """

    make: Callable[..., nn.Module]
    classes: int
    shape: Shape


SHIPPED: Mapping[str, Shipped] = {
    "cnn": Shipped(models.cnn, 10, (1, 28, 28)),
    "cnn-bn": Shipped(models.cnn_bn, 10, (1, 28, 28)),
    "resnet8": Shipped(models.resnet8, 10, (3, 32, 32)),
    "resnet20": Shipped(models.resnet20, 10, (3, 32, 32)),
    "resnet32": Shipped(models.resnet32, 10, (3, 32, 32)),
    "resnet56": Shipped(models.resnet56, 10, (3, 32, 32)),
    "ds-cnn": Shipped(models.ds_cnn, 12, (1, 49, 10)),
    "mobilenet-v1-025": Shipped(models.mobilenet_v1_025, 2, (3, 96, 96)),
    "mobilenet-v2-035": Shipped(models.mobilenet_v2_035, 1000, (3, 224, 224)),
    "mobilenet-v3-small": Shipped(models.mobilenet_v3_small, 1000, (3, 224, 224)),
    "squeezenet": Shipped(models.squeezenet, 1000, (3, 224, 224)),
}

_NOTHING = object()


def build_network(
    recipe: ModelRecipe, *, classes: int, channels: int, size: tuple[int, int], seed: int = 0
) -> nn.Module:
    """Make the network, with weights drawn from `seed`, and try it on two black images.

    A callable of the user's is imported (the current folder counts) and called with `classes`, `channels` and the
    recipe's arguments.

    Args:
        classes: number of logits.
        channels: of the images.
        size: height and width of the images, in pixels.
        seed: of the weights.

    Raises:
        UsageError: it cannot be imported, called or used: the text says which and why.
    """
    given: dict[str, Any] = {"classes": classes, "channels": channels}
    if recipe.name == "cnn":
        given["size"] = size
    make = SHIPPED[recipe.name].make if recipe.name in SHIPPED else _import(recipe.name)
    twice = sorted(given.keys() & recipe.arguments.keys())
    if twice:
        raise UsageError(
            f"model {recipe.name}: arguments must not contain keys that the data decides; got {', '.join(twice)}; "
            "delete them"
        )
    arguments = {**given, **recipe.arguments}
    _check_signature(recipe.name, make, arguments)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive("weights", seed))
        with calling(f"model {recipe.name}: must return a network when called with {_shown(arguments)}"):
            network = make(**arguments)
        if not isinstance(network, nn.Module):
            raise UsageError(f"model {recipe.name}: must return a torch.nn.Module; got {type(network).__name__}")
        _check_logits(recipe.name, network, classes=classes, channels=channels, size=size)
    return network


def import_network(name: str, *, classes: int, channels: int) -> nn.Module:
    """Return a trained network of the user's from `package.module:callable`.

    The callable gets `classes` and `channels` if it takes them.

    Raises:
        UsageError: it cannot be imported or called, or returns something else.
    """
    make = _import(name)
    known = inspect.signature(make).parameters
    given = {key: value for key, value in (("classes", classes), ("channels", channels)) if key in known}
    with calling(f"{name}: must return a network when called with {_shown(given) or 'nothing'}"):
        network = make(**given)
    if not isinstance(network, nn.Module):
        raise UsageError(f"{name}: must return a trained torch.nn.Module; got {type(network).__name__}")
    return network


def _import(name: str) -> Callable[..., nn.Module]:
    module_name, _, path = name.partition(":")
    if not path:
        raise UsageError(f"model must be one of {', '.join(SHIPPED)}, or package.module:callable; got {name!r}")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        with calling(
            f"model {name}: the module {module_name} must be importable from the current folder or the installed "
            "packages"
        ):
            named: Any = importlib.import_module(module_name)
    finally:
        sys.path.remove(here)
    for part in path.split("."):
        with calling(f"model {name}: {path} of {module_name} must be readable"):
            named = getattr(named, part, _NOTHING)
        if named is _NOTHING:
            raise UsageError(f"model {name}: {module_name} must have {path}; got none; check the name after the colon")
    if not callable(named):
        raise UsageError(f"model {name}: must be callable with classes=, channels=; got {type(named).__name__}")
    make: Callable[..., nn.Module] = named
    return make


def _check_signature(name: str, make: Callable[..., nn.Module], arguments: dict[str, Any]) -> None:
    try:
        signature = inspect.signature(make)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        known = ", ".join(signature.parameters)
        raise UsageError(
            f"model {name}: must take {', '.join(arguments)}; got {known or 'nothing'} ({error})"
        ) from None


def _check_logits(name: str, network: nn.Module, *, classes: int, channels: int, size: tuple[int, int]) -> None:
    """Two black images in, logits (2, classes) out; the network's mode and numbers stay as they were."""
    images = f"images of {channels} x {size[0]} x {size[1]}"
    with calling(f"model {name}: must take {images}"), evaluating(network), torch.no_grad():
        logits = network(torch.zeros(2, channels, *size))
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (2, classes):
        got = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise UsageError(f"model {name}: must return logits of shape (2, {classes}) for 2 {images}; got {got}")


def _shown(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{excerpt(key, 60)}={brief(value)}" for key, value in arguments.items())
