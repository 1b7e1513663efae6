"""What a run is trained on and with, as plain values that its checkpoints keep."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from glassbit._sound import home
from glassbit.datasets import Dataset, digest
from glassbit.models import Classifier
from glassbit.quant import quantizers

_SHOWN = 3
_PLAIN = (bool, int, float, str, type(None))


def identity(objective: nn.Module, data: Dataset) -> dict[str, Any]:
    """Describe network and data, so that a folder with another run's checkpoints is recognised.

    Args:
        objective: as `fit` got it; what it learns is not a part of the description.
        data: the images.

    Returns:
        `network` and `bits` (a line per layer), `mean` and `std` of the normalisation (None where the network has no
        `Classifier` around it), `classes`, and `data`, the digest of the training images and their labels.
    """
    model = objective.model
    normalize = model.normalize if isinstance(model, Classifier) else None
    network = model.network if isinstance(model, Classifier) else model
    assert isinstance(network, nn.Module)
    of_quantizers = {id(quantizer) for _, quantizer in quantizers(network)}
    layers = [(name, module) for name, module in network.named_modules() if id(module) not in of_quantizers]
    return {
        "network": {name or "(whole)": _line(module) for name, module in layers},
        "bits": {name: _line(quantizer) for name, quantizer in quantizers(network)},
        "mean": None if normalize is None else normalize.mean.flatten().tolist(),
        "std": None if normalize is None else normalize.std.flatten().tolist(),
        "classes": list(data.classes),
        "data": digest(data.train),
    }


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Every part by which two descriptions differ, e.g. `bits: 0 was SAWB(bits=4) and is now SAWB(bits=2)`.

    Args:
        before: of a checkpoint; parts that it lacks, as older ones do, are not compared.
        now: of this call.
    """
    return [_change(part, before[part], now[part]) for part in now if part in before and before[part] != now[part]]


def _change(part: str, before: Any, now: Any) -> str:
    if part == "data":
        was, now_is = str(before)[:12], str(now)[:12]
        return f"the training images or their labels are others (digest was {was} and is now {now_is})"
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return f"{part} was {before!r} and is now {now!r}"
    names = [name for name in dict.fromkeys((*before, *now)) if before.get(name) != now.get(name)]
    listed = [
        f"{name} was {before.get(name, 'absent')} and is now {now.get(name, 'absent')}" for name in names[:_SHOWN]
    ]
    more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return f"{part}: {', '.join([*listed, *more])}"


def _line(module: nn.Module) -> str:
    """Return a layer with its options and tensor shapes, e.g. `Linear(in_features=4, ..., weight 3x4, bias 3)`."""
    said = module.extra_repr()
    options = [said] if said else []
    if not home(type(module)).startswith("torch."):
        options += [
            f"{name}={value!r}"
            for name, value in sorted(vars(module).items())
            if name != "training" and not name.startswith("_") and _is_plain(value) and f"{name}=" not in said
        ]
    tensors = [
        f"{name} {_shape(tensor)}"
        for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
    ]
    return f"{module._get_name()}({', '.join([*options, *tensors])})"


def _is_plain(value: object) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, tuple) and all(isinstance(item, _PLAIN) for item in value))


def _shape(tensor: Tensor) -> str:
    size = "x".join(map(str, tensor.shape)) or "1"
    kind = "" if tensor.dtype.itemsize == 4 else f" {str(tensor.dtype).removeprefix('torch.')}"
    frozen = " frozen" if isinstance(tensor, nn.Parameter) and not tensor.requires_grad else ""
    return f"{size}{kind}{frozen}"
