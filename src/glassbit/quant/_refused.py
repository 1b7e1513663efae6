"""Layers that carry more than a weight and a bias, which a quantizer in their place would lose without a word."""

from __future__ import annotations

import functools
import types
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parametrize

from glassbit._count import counted
from glassbit._errors import UsageError

from ._bits import FLOOR
from ._calls import FunctionCalls
from ._ceiling import ceiling, has_low_ceiling
from ._plan import FLOAT_BITS, Plan

if TYPE_CHECKING:
    from ._convert import Conversion

_WITHOUT_ACTIVATION = 2
"""Networks of fewer layers with weights need no activation."""

_HOOKS = {
    "_forward_hooks": "a forward hook",
    "_forward_pre_hooks": "a forward pre-hook",
    "_backward_hooks": "a backward hook",
    "_backward_pre_hooks": "a backward pre-hook",
    "_state_dict_hooks": "a state_dict hook",
    "_state_dict_pre_hooks": "a state_dict hook",
    "_load_state_dict_pre_hooks": "a load_state_dict hook",
    "_load_state_dict_post_hooks": "a load_state_dict hook",
}
_COMPUTED = {
    "_mask": ("pruning", "torch.nn.utils.prune.remove(layer, {name!r})"),
    "_u": ("spectral norm", "torch.nn.utils.remove_spectral_norm(layer, {name!r})"),
    "_g": ("weight norm", "torch.nn.utils.remove_weight_norm(layer, {name!r})"),
}
"""What else a layer holds whose weight a hook computes: what did it, and how to make the weight a parameter again."""

_READS_WEIGHTS = {
    nn.TransformerEncoderLayer: ("linear1", "linear2"),
    nn.MultiheadAttention: ("out_proj",),
}
"""Modules of torch that read the weights of these children themselves, and what the children are called."""


def refuse(model: nn.Module, names: Collection[str], plan: Plan) -> None:
    """Refuse networks of which `quantize_` would lose something.

    Args:
        model: the network, which is still in full precision.
        names: the layers and activations that are about to be replaced.
        plan: the plan, which may leave layers alone.

    Raises:
        UsageError: every such layer, with the reason and the repair.
    """
    modules = dict(model.named_modules())
    problems = [
        *_of_the_whole(model),
        *(f"{name}: {reason}" for name in names for reason in _reasons(modules[name])),
        *_computed_or_lazy(model, plan),
        *_read_elsewhere(model, names),
        *_held_elsewhere(model, {id(modules[name]): name for name in names}),
    ]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise UsageError(
            "quantize_: layers must carry a weight and a bias only; "
            f"got {counted(len(problems), 'thing')} that would be lost\n"
            f"{listed}\n"
            'nothing was changed; Rule("LAYER", 32, 32) at the end of the plan leaves a layer in full precision'
        )


def refuse_hooks(named: Collection[tuple[str, nn.Module]]) -> None:
    """Refuse quantized layers with hooks, which go when `dequantize_` brings the float layers back.

    Args:
        named: the layers and quantizers, by name.

    Raises:
        UsageError: every such layer.
    """
    problems = [
        f"{name}: {what}"
        for name, module in named
        for attribute, what in _HOOKS.items()
        if attribute != "_load_state_dict_pre_hooks" and getattr(module, attribute)  # one of those is ours
    ]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise UsageError(
            f"dequantize_: layers must have no hooks; got {counted(len(problems), 'thing')} that would be lost\n"
            f"{listed}\n"
            "nothing was changed; remove each with its handle's remove(), and register it again afterwards"
        )


def refuse_read_again(functions: Iterable[FunctionCalls | None]) -> None:
    """Refuse functions in place whose input is read afterwards, as quantizers leave their input alone.

    Raises:
        UsageError: the first of them.
    """
    for each in functions:
        if each is not None and each.read_again:
            raise UsageError(
                f"quantize_: {each.owner or 'the network'}: an activation in place (relu_, inplace=True) must be the "
                "last to read its input; got one whose input is read again; use its result, as in x = F.relu(x)"
            )


def without_activations(model: nn.Module, conversion: Conversion, plan: Plan) -> str | None:
    """Return what to say of a network whose weights alone were quantized although the plan wants both; else None."""
    wanted = any(rule.activation != FLOAT_BITS for rule in plan.rules)
    weights = sum(layer.kind == "weight" for layer in conversion.layers)
    if not wanted or weights < _WITHOUT_ACTIVATION or any(layer.kind == "activation" for layer in conversion.layers):
        return None
    return (
        f"no activation is quantized: {type(model).__name__} calls no ReLU, ReLU6 or Hardtanh(0, c), neither as a "
        "module nor as a function; its layers read values in full precision, unless the export gives them codes"
    )


def _of_the_whole(model: nn.Module) -> Iterator[str]:
    for name, module in model.named_modules():
        if isinstance(module, DistributedDataParallel):
            yield (
                f"{name or 'the model'}: DistributedDataParallel exchanges the gradients of the parameters that it was "
                "made with, and clipping levels are new ones; wrap the network after quantize_"
            )


def _reasons(module: nn.Module) -> Iterator[str]:
    """Yield what one layer or activation carries besides its weight and bias."""
    if own := [name for name in ("forward", "_conv_forward") if name in vars(module)]:
        yield f"its {own[0]} was replaced on the instance and would not be called; make it a module of its own"
    weighted = isinstance(module, nn.Conv2d | nn.Linear)
    own_parameters = ("weight", "bias") if weighted else ()
    if computed := [name for name in own_parameters if name not in module._parameters]:
        yield _computed(module, computed[0])
        return
    more = [name for name in (*module._parameters, *module._buffers, *module._modules) if name not in own_parameters]
    if more:
        yield f"it also holds {', '.join(more)}; keep that in a module of its own"
    hooks = dict.fromkeys(  # a layer with weights is kept inside, where its hooks of the state still fire
        what for attribute, what in _HOOKS.items() if getattr(module, attribute) and not (weighted and "state" in what)
    )
    if hooks:
        yield (
            f"it has {' and '.join(hooks)}, which would not be called; remove it (its handle's remove()) and register "
            "it again after quantize_"
        )
    if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_floating_point():
        yield f"its weights are {_dtype(module.weight)}; quantizers take real floating-point numbers"
    if has_low_ceiling(module):
        yield f"its ceiling of {ceiling(module):g} is below {FLOOR:g}, the smallest clipping level; rescale the network"


def _computed(module: nn.Module, name: str) -> str:
    for suffix, (what, repair) in _COMPUTED.items():
        if name + suffix in module._parameters or name + suffix in module._buffers:
            return (
                f"its {name} is computed by a hook ({what}), which a quantized layer would not run; "
                f"{repair.format(name=name)} makes it a parameter again"
            )
    return f"its {name} is not a parameter of its own; assign torch.nn.Parameter(layer.{name}.detach())"


def _computed_or_lazy(model: nn.Module, plan: Plan) -> Iterator[str]:
    """Layers whose class is not Conv2d or Linear because of what they carry."""
    weighted = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for index, (name, module) in enumerate(weighted):
        if not name or plan.bits((name,), index / len(weighted))[0] == FLOAT_BITS:
            continue
        if parametrize.is_parametrized(module):
            computed = [str(key) for key in getattr(module, "parametrizations", {})]
            yield (
                f"{name}: its {' and '.join(computed)} is computed by torch.nn.utils.parametrize, which a quantized "
                f"layer would not run; torch.nn.utils.parametrize.remove_parametrizations(layer, {computed[0]!r}) "
                "makes it a parameter again"
            )
        elif isinstance(module, LazyModuleMixin) and module.has_uninitialized_params():
            yield f"{name}: {type(module).__name__} has no weights yet; run the network once on an example before"


def _read_elsewhere(model: nn.Module, names: Collection[str]) -> Iterator[str]:
    for name, module in model.named_modules():
        for kind, children in _READS_WEIGHTS.items():
            read = [child for child in children if f"{name}.{child}".lstrip(".") in names]
            if isinstance(module, kind) and read:
                rules = " and ".join(f'Rule("{f"{name}.{child}".lstrip(".")}", 32, 32)' for child in read)
                yield (
                    f"{name or 'the model'}: {kind.__name__} in eval mode reads the weights of {' and '.join(read)} "
                    f"itself, past any quantizer; leave them in full precision with {rules}"
                )


def _held_elsewhere(model: nn.Module, replaced: dict[int, str]) -> Iterator[str]:
    """Layers that a plain attribute refers to as well: a list, a dict, a bound method."""
    for name, module in model.named_modules():
        if id(module) in replaced:
            continue
        for attribute, value in vars(module).items():
            if attribute in ("_parameters", "_buffers", "_modules") or attribute in _HOOKS:
                continue
            for held in dict.fromkeys(id(held_module) for held_module in _modules_in(value, 3)):
                if held in replaced:
                    owner = f"{name}.{attribute}" if name else attribute
                    yield (
                        f"{replaced[held]}: the attribute {owner} refers to it too, where it would stay in full "
                        "precision; use nn.ModuleList or nn.ModuleDict, or call the layer by its own name"
                    )


def _modules_in(value: Any, depth: int) -> Iterator[nn.Module]:
    if isinstance(value, nn.Module):
        yield value
    elif isinstance(value, types.MethodType):
        yield from _modules_in(value.__self__, 0)
    elif isinstance(value, functools.partial):
        yield from (module for part in (value.func, *value.args) for module in _modules_in(part, depth))
    elif isinstance(value, types.FunctionType):
        cells: tuple[Any, ...] = value.__closure__ or ()
        yield from (module for cell in cells if depth for module in _modules_in(_content(cell), depth - 1))
    elif isinstance(value, dict | list | tuple | set) and depth and len(value) <= 10_000:
        parts = value.values() if isinstance(value, dict) else value
        yield from (module for part in parts for module in _modules_in(part, depth - 1))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return None


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
