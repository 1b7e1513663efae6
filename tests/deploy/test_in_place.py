"""A call that changes a tensor it was given is carried out in integers, or refused by name; it is never left out."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassbit._errors import ExportError
from glassbit.deploy import lower
from glassbit.quant import PACT, Plan, quantize_

Form = Callable[["Net", Tensor, Tensor], Tensor | None]


class Net(nn.Module):
    """Two convolutions; `form` gets the values in front of the second activation, or behind it, and a twin of them.

    What `form` returns goes on, or, where that is nothing, the tensor that it was given.
    """

    def __init__(self, form: Form, *, behind: bool) -> None:
        super().__init__()
        self.form, self.behind = form, behind
        self.c1, self.r1 = nn.Conv2d(1, 8, 3), nn.ReLU()
        self.c2, self.r2 = nn.Conv2d(8, 8, 3), nn.ReLU()
        self.c3, self.r3 = nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()
        self.r4 = nn.ReLU()
        self.fc = nn.Linear(8, 5)
        self.gain = nn.Parameter(torch.ones(8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.r1(self.c1(x))
        y = self.c2(x)
        if not self.behind:
            out = self.form(self, y, self.r2(y.clone()))
            y = y if out is None else out
            return self.fc(self.r3(y).mean((2, 3)))
        y, twin = self.r2(y), self.r2(y)
        out = self.form(self, y, twin)
        y = y if out is None else out
        return self.fc(self.r3(self.c3(self.r4(y))).mean((2, 3)))


def done(*_: object) -> None:
    """What was called returns nothing."""


def numpy_times_two(_: Net, y: Tensor, __: Tensor) -> None:
    with torch._C.DisableTorchFunction():
        array = y.numpy()
    array *= 2


def disabled(_: Net, y: Tensor, __: Tensor) -> None:
    with torch._C.DisableTorchFunction():
        y.mul_(2)


def by_index(_: Net, y: Tensor, __: Tensor) -> None:
    y[:, 0] *= 2


def by_chunk(_: Net, y: Tensor, __: Tensor) -> None:
    a, b = y.chunk(2, 1)
    a.add_(b)


def by_split(_: Net, y: Tensor, __: Tensor) -> None:
    y.split(4, 1)[0].zero_()


def by_unbind(_: Net, y: Tensor, __: Tensor) -> None:
    for row in y:
        row.neg_()


def set_data(_: Net, y: Tensor, __: Tensor) -> None:
    y.data = torch.full_like(y, 0.25)


def swapped(_: Net, y: Tensor, __: Tensor) -> None:
    torch.utils.swap_tensors(y, torch.full_like(y, 0.25))


def stored(_: Net, y: Tensor, __: Tensor) -> None:
    y.storage()[0] = 5.0


class Doubled(torch.autograd.Function):
    """Changes what it is given, and says so."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)  # type: ignore[attr-defined]
        x.mul_(2)
        return x


def module_in_place(kind: Callable[[], nn.Module]) -> Form:
    def form(net: Net, y: Tensor, _: Tensor) -> None:
        kind()(y)  # made on the fly: no hook of ours is in it, its functions are seen

    return form


REFUSED: dict[str, tuple[Form, str]] = {
    "rtruediv": (lambda n, y, z: 1 / (y + 9), "the function __rdiv__|__rtruediv__|reciprocal|add"),
    "sub_ of a map": (lambda n, y, z: y.sub_(z), "the function sub_ has"),
    "floor_divide_": (lambda n, y, z: y.floor_divide_(2), "the function floor_divide_ has"),
    "remainder_": (lambda n, y, z: y.remainder_(0.5), "the function remainder_ has"),
    "zero_": (lambda n, y, z: y.zero_(), "the function zero_ has"),
    "fill_": (lambda n, y, z: y.fill_(0.1), "the function fill_ has"),
    "copy_": (lambda n, y, z: y.copy_(z), "the function copy_ has"),
    "round_": (lambda n, y, z: y.round_(), "the function round_ has"),
    "exp_": (lambda n, y, z: y.exp_(), "the function exp_ has"),
    "addcmul_": (lambda n, y, z: y.addcmul_(z, z), "the function addcmul_ has"),
    "lerp_": (lambda n, y, z: y.lerp_(z, 0.5), "the function lerp_ has"),
    "masked_fill_": (lambda n, y, z: y.masked_fill_(z > 0.1, 0.0), "the function masked_fill_ has"),
    "masked_scatter_": (lambda n, y, z: y.masked_scatter_(z > 0.1, z), "the function masked_scatter_ has"),
    "index_fill_": (lambda n, y, z: y.index_fill_(1, torch.tensor([0]), 1.0), "the function index_fill_ has"),
    "index_copy_": (lambda n, y, z: y.index_copy_(1, torch.tensor([0]), z[:, :1]), "the function index_copy_ has"),
    "scatter_": (
        lambda n, y, z: y.scatter_(1, torch.zeros_like(y, dtype=torch.long), 0.0),
        "the function scatter_ has",
    ),
    "put_": (lambda n, y, z: y.put_(torch.tensor([0]), torch.ones(1)), "the function put_ has"),
    "uniform_": (lambda n, y, z: y.uniform_(), "the function uniform_ has"),
    "normal_": (lambda n, y, z: y.normal_(), "the function normal_ has"),
    "bernoulli_": (lambda n, y, z: y.bernoulli_(0.5), "the function bernoulli_ has"),
    "apply_": (lambda n, y, z: y.apply_(lambda v: 2 * v), "the function apply_ has"),
    "map_": (lambda n, y, z: y.map_(z, lambda a, b: a * b), "the function map_ has"),
    "foreach": (lambda n, y, z: done(torch._foreach_mul_([y], 2)[0]), "the function _foreach_mul_ has"),
    "threshold_": (lambda n, y, z: F.threshold_(y, 0.1, 0.0), "the function threshold_ has"),
    "dropout in training mode": (lambda n, y, z: F.dropout(y, 0.5, True, True), "dropout acts in eval mode"),
    "nn.init": (lambda n, y, z: nn.init.constant_(y, 0.2), "the function fill_|constant_ has"),
    "out": (lambda n, y, z: torch.mul(y, 2, out=y), "a product must be of two maps"),
    "out of a sum with a number": (lambda n, y, z: torch.add(y, 1, out=z), "a sum must be of two maps"),
    "out through a view": (lambda n, y, z: done(torch.sum(z, 1, keepdim=True, out=y[:, :1])), "the function sum has"),
    "clamp with out": (lambda n, y, z: torch.clamp(z, 0, 0.1, out=y), "the function clamp has"),
    "setitem": (lambda n, y, z: y.__setitem__(0, 0.0), r"an assignment y\[\.\.\.\] = \.\.\. has no integer form"),
    "setitem of a map": (lambda n, y, z: y.__setitem__(z > 0, z[z > 0]), r"an assignment y\[\.\.\.\] = \.\.\. has"),
    "by index": (by_index, "must keep their pixels"),
    "by chunk": (by_chunk, "add_ changes a tensor in place that is read again"),
    "by split": (by_split, "the function zero_ has"),
    "by unbind": (by_unbind, "must keep their pixels"),
    "by view": (lambda n, y, z: done(y.view(-1).mul_(2)), "must keep their pixels"),
    "by flatten": (lambda n, y, z: done(y.flatten(1).add_(1)), "add_ changes a tensor in place that is read again"),
    "by select": (lambda n, y, z: done(y.select(1, 0).zero_()), "the function zero_ has"),
    "by narrow": (lambda n, y, z: done(y.narrow(1, 0, 2).zero_()), "the function zero_ has"),
    "by as_strided": (lambda n, y, z: done(y.as_strided((2,), (1,)).zero_()), "the function as_strided has"),
    "by transpose": (lambda n, y, z: done(y.mT.mul_(2)), r"the attribute \.mT has"),
    "by permute": (lambda n, y, z: done(y.permute(0, 2, 3, 1).mul_(2)), "must keep their pixels"),
    "by diagonal": (lambda n, y, z: done(torch.diagonal(y, 0, 2, 3).fill_(1.0)), "the function diagonal has"),
    "by detach": (lambda n, y, z: done(y.detach().mul_(2)), "mul_ changes a tensor in place that is read again"),
    "by data": (lambda n, y, z: done(y.data.mul_(2)), "mul_ changes a tensor in place that is read again"),
    "a sum by data": (lambda n, y, z: done(y.data.add_(z)), "add_ changes a tensor in place that is read again"),
    "a sum by view_as": (lambda n, y, z: done(y.view_as(z).add_(z)), "add_ changes a tensor in place that is read"),
    "set data": (set_data, r"an assignment y\.data = \.\.\. has"),
    "set_": (lambda n, y, z: y.set_(z.clone()), "the function set_ has"),
    "resize_": (lambda n, y, z: y.resize_(y.shape), "the function resize_ has"),
    "transpose_": (lambda n, y, z: y.transpose_(2, 3), "the function transpose_ has"),
    "swapaxes_": (lambda n, y, z: y.swapaxes_(2, 3), "the function swapaxes_ has"),
    "squeeze_": (lambda n, y, z: y.squeeze_(), "the function squeeze_ has"),
    "swap_tensors": (swapped, "changed around torch"),
    "storage": (stored, "storage hands out the memory of a tensor"),
    "numpy": (lambda n, y, z: done(y.numpy().__imul__(2)), "numpy hands out the memory of a tensor"),
    "asarray of NumPy": (lambda n, y, z: done(np.asarray(y).__imul__(2)), "__array__ hands out the memory"),
    "dlpack": (lambda n, y, z: done(torch.from_dlpack(y).mul_(2)), "__dlpack__ hands out the memory of a tensor"),
    "numpy out of sight": (numpy_times_two, "changed around torch"),
    "torch functions out of sight": (disabled, "the function mul_ changes a tensor in place"),
    "where": (lambda n, y, z: torch.where(z > 0.1, y, z), "the function where has"),
    "max of two": (lambda n, y, z: torch.maximum(y, z), "the function maximum has"),
    "alpha": (lambda n, y, z: y.add_(z, alpha=2), "a sum must have alpha=1; got 2"),
    "item": (lambda n, y, z: y if y.sum().item() < 1e9 else z, "a sum must be over height and width"),
    "bool": (lambda n, y, z: y if bool((y > 1e9).any()) else z, "the function (__)?gt(__)? has"),
    "tolist": (lambda n, y, z: y if y.tolist() else z, "tolist reads values out of a tensor"),
    "equal": (lambda n, y, z: y if not y.equal(z) else z, "equal reads values out of a tensor"),
    "nonzero": (
        lambda n, y, z: y if len(y.nonzero()) else z,
        "the shape of what nonzero returns depends on the pixels",
    ),
    "vmap": (lambda n, y, z: torch.vmap(lambda a: a * 2)(y), "its output must be the logits"),
}

CARRIED: dict[str, Form] = {
    "mul_": lambda n, y, z: y.mul_(-1),
    "add_ of a number": lambda n, y, z: y.add_(0.5),
    "add of a number": lambda n, y, z: y + 0.5,
    "radd": lambda n, y, z: 0.5 + y,
    "rsub": lambda n, y, z: 1 - y,
    "sub_": lambda n, y, z: y.sub_(0.5),
    "div_": lambda n, y, z: y.div_(2),
    "pow_": lambda n, y, z: y.pow_(2),
    "ipow": lambda n, y, z: y.__ipow__(2),
    "imul": lambda n, y, z: y.__imul__(z),
    "clip_": lambda n, y, z: y.clip_(0, 0.1),
    "neg_": lambda n, y, z: y.neg_(),
    "abs_": lambda n, y, z: y.abs_(),
    "sigmoid_": lambda n, y, z: y.sigmoid_(),
    "tanh_": lambda n, y, z: y.tanh_(),
    "hardtanh": lambda n, y, z: F.hardtanh(y, 0, 0.1, inplace=True),
    "leaky_relu": lambda n, y, z: F.leaky_relu(y, 0.1, inplace=True),
    "silu": lambda n, y, z: F.silu(y, inplace=True),
    "hardswish": lambda n, y, z: F.hardswish(y, inplace=True),
    "elu": lambda n, y, z: F.elu(y, inplace=True),
    "a SiLU of its own": module_in_place(lambda: nn.SiLU(inplace=True)),
    "by asarray": lambda n, y, z: done(torch.asarray(y, copy=False).mul_(2)),
    "autograd function": lambda n, y, z: Doubled.apply(y),
    "cat": lambda n, y, z: torch.cat([y, z], 1)[:, :8],
    "a parameter": lambda n, y, z: y * n.gain,
    "a sum with a parameter": lambda n, y, z: y + n.gain,
    "addition of a parameter in place": lambda n, y, z: y.add_(n.gain),
    "nothing": lambda n, y, z: None,
    "relu of something else": lambda n, y, z: F.relu(y - 0.1, inplace=True),
    "clamp_": lambda n, y, z: y.clamp_(0, 0.1),
    "relu6": lambda n, y, z: F.relu6(y, inplace=True),
    "relu_": lambda n, y, z: y.relu_(),
    "F.relu_": lambda n, y, z: F.relu_(y),
    "sum": lambda n, y, z: y + z,
    "sum in place": lambda n, y, z: y.__iadd__(z),
    "sum in place, the tensor itself is read": lambda n, y, z: done(y.add_(z)),
    "sum into a third": lambda n, y, z: torch.add(y, z, out=torch.empty_like(y)),
    "sum into one of the two": lambda n, y, z: torch.add(y, z, out=y),
    "sum with itself in place": lambda n, y, z: done(y.add_(y)),
    "sum with a copy in place": lambda n, y, z: done(y.add_(y.detach().clone())),
    "sum into a view that is read": lambda n, y, z: y.detach().add_(z),
    "a view is read after the sum of another tensor": lambda n, y, z: (z.add_(y), y.view_as(z))[1],
    "sum of Python": lambda n, y, z: sum([y, z]),
    "0 is added in place": lambda n, y, z: done(y.add_(0)),
    "alpha of 1": lambda n, y, z: done(y.add_(z, alpha=1)),
    "dropout in eval mode": lambda n, y, z: done(F.dropout(y, 0.5, n.training, inplace=True)),
    "dropout out of place": lambda n, y, z: F.dropout(y, 0.5, n.training),
    "a Dropout of its own": lambda n, y, z: nn.Dropout(0.5, inplace=True).train(n.training)(y),
    "requires_grad_": lambda n, y, z: done(y.requires_grad_(False)),
    "contiguous, float, clone, detach, data": lambda n, y, z: y.contiguous().float().clone().detach().data,
    "to": lambda n, y, z: y.to(torch.float32).to("cpu"),
    "view of the same shape": lambda n, y, z: y.view(y.shape),
    "a copy is changed, and left aside": lambda n, y, z: done(torch.zeros(3).add_(1).sum()),
    "grad is set": lambda n, y, z: setattr(y, "grad", None),
    "questions": lambda n, y, z: y if (y.numel(), y.dim(), y.shape, y.dtype, y.is_contiguous()) else z,
}  # fmt: skip


def exported(form: Form, *, behind: bool) -> float:
    """How far the integers are from fake quantization, at 8 bits."""
    torch.manual_seed(0)
    net = Net(form, behind=behind)
    quantize_(net, Plan.named("w8a8"))
    for module in net.modules():
        if isinstance(module, PACT):
            module.alpha.data.fill_(1.0)
    images = torch.randint(0, 256, (2, 1, 10, 10), dtype=torch.uint8)
    graph = lower(net.eval(), images=images)
    with torch.no_grad():
        return (net(images / 255) - torch.tensor(graph.run(images.numpy()))).abs().max().item()


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated", "ignore:An output with one or more elements")
@pytest.mark.parametrize("behind", [False, True], ids=["sums", "codes"])
@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name(name: str, behind: bool):
    form, reason = REFUSED[name]
    with pytest.raises(ExportError) as caught:
        exported(form, behind=behind)
    assert any(re.search(reason, problem) for problem in caught.value.problems), caught.value


@pytest.mark.parametrize("behind", [False, True], ids=["sums", "codes"])
@pytest.mark.parametrize("name", CARRIED)
def test_it_is_carried_out(name: str, behind: bool):
    assert exported(CARRIED[name], behind=behind) < 0.01
