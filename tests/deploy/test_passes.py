"""A network must call the same, and keep nothing, in every pass: whatever Python it keeps things in."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassbit._errors import ExportError
from glassbit.deploy import Deployed, export_problems, lower
from glassbit.quant import Plan, quantize_

IMAGES = torch.randint(0, 256, (2, 1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
COUNTS = {"n": 0}
SEEN: list[int] = []


@dataclass
class Memory:
    n: int = 0
    held: dict[str, list[int]] = field(default_factory=lambda: {"a": [0]})


class Net(nn.Module):
    """Two layers; `extra` runs at the start of each pass, `middle` in its midst."""

    passes = 0

    def __init__(
        self,
        extra: Callable[[Net, Tensor], object] = lambda net, x: None,
        middle: Callable[[Net, Tensor], Tensor] = lambda net, x: x,
    ) -> None:
        super().__init__()
        self.extra, self.middle = extra, middle
        self.conv, self.norm, self.relu, self.fc = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Linear(16, 3)
        self.pool, self.even = nn.MaxPool2d(2), nn.MaxPool2d(1)
        self.scale, self.word, self.flag = 1.0, "a", False
        self.table = {"n": 0, "deep": [{"m": 0}]}
        self.items: list[object] = []
        self.known: set[int] = set()
        self.pair = (0, 0)
        self.line: deque[int] = deque([1, 2])
        self.tally: Counter[str] = Counter()
        self.memory, self.space = Memory(), SimpleNamespace(n=0)
        self.array, self.total = np.zeros(2), torch.zeros(2)
        self.ids = itertools.count()

    def forward(self, x: Tensor) -> Tensor:
        self.extra(self, x)
        return self.fc(self.pool(self.relu(self.middle(self, self.norm(self.conv(x))))).flatten(1))


def problems(net: nn.Module) -> list[str]:
    torch.manual_seed(0)
    quantize_(net, Plan.named("w4a4"))
    with pytest.raises(ExportError) as caught:
        Deployed(net, IMAGES)
    assert list(export_problems(net, IMAGES)) == list(caught.value.problems)
    with pytest.raises(ExportError):
        lower(net, images=IMAGES)
    return list(caught.value.problems)


def put(name: str, change: Callable[[object], object]) -> Callable[[Net, Tensor], object]:
    return lambda net, x: setattr(net, name, change(getattr(net, name)))


def raise_eps(net: Net, x: Tensor) -> None:
    net.norm.eps = net.norm.eps + 1


def count_on_the_class(net: Net, x: Tensor) -> None:
    Net.passes += 1


def count_in_a_global(net: Net, x: Tensor) -> None:
    COUNTS["n"] += 1


def make_new_attributes(net: Net, x: Tensor) -> None:
    setattr(net, f"made{len(vars(net))}", 1)


def count_the_memory(net: Net, x: Tensor) -> None:
    net.memory.n += 1


def count_the_space(net: Net, x: Tensor) -> None:
    net.space.n += 1


def count_deep(net: Net, x: Tensor) -> None:
    net.table["deep"][0]["m"] += 1


@pytest.mark.parametrize(
    ("extra", "start"),
    [
        (raise_eps, "norm: its forward changes eps in eval mode"),
        (put("scale", lambda value: value * 1.5), "Net: its forward changes scale in eval mode"),
        (put("word", lambda value: value + "a"), "Net: its forward changes word in eval mode"),
        (put("flag", lambda value: not value), "Net: its forward changes flag in eval mode"),
        (put("pair", lambda value: (value[0], value[1] + 1)), "Net: its forward changes pair in eval mode"),
        (put("total", lambda value: value + 1), "Net: its forward changes total in eval mode"),
        (put("array", lambda value: value + 1), "Net: its forward changes array in eval mode"),
        (lambda net, x: net.table.update(n=net.table["n"] + 1), "Net: its forward changes table in eval mode"),
        (count_deep, "Net: its forward changes table in eval mode"),
        (lambda net, x: net.items.append(1), "Net: its forward changes items in eval mode"),
        (lambda net, x: net.known.add(len(net.known)), "Net: its forward changes known in eval mode"),
        (lambda net, x: net.line.rotate(), "Net: its forward changes line in eval mode"),
        (lambda net, x: net.tally.update("a"), "Net: its forward changes tally in eval mode"),
        (lambda net, x: next(net.ids), "Net: its forward changes ids in eval mode"),
        (count_the_memory, "Net: its forward changes memory in eval mode"),
        (lambda net, x: net.memory.held["a"].append(0), "Net: its forward changes memory in eval mode"),
        (count_the_space, "Net: its forward changes space in eval mode"),
        (count_on_the_class, "Net: its forward changes passes, an attribute of the class Net, in eval mode"),
        (count_in_a_global, "Net: its forward changes COUNTS, a global of tests.deploy.test_passes, in eval mode"),
        (lambda net, x: SEEN.append(1), "Net: its forward changes SEEN, a global of tests.deploy.test_passes, in eval"),
    ],
)
def test_what_changes_from_pass_to_pass_is_refused_by_name(extra: Callable[[Net, Tensor], object], start: str):
    found = problems(Net(extra))
    assert len(found) == 1
    assert found[0].startswith(start)
    assert found[0].endswith("change it only `if self.training`")


def test_attributes_that_are_made_in_every_pass_are_refused():
    net = Net(make_new_attributes)
    quantize_(net, Plan.named("w4a4"))
    with pytest.raises(ExportError, match="Net: its forward changes made"):
        Deployed(net, IMAGES)


def test_a_variable_around_forward_is_looked_at():
    around = {"n": 0}

    class Around(Net):
        def forward(self, x: Tensor) -> Tensor:
            around["n"] += 1
            return super().forward(x)

    found = problems(Around())
    assert found[0].startswith("Around: its forward changes around, a variable around forward, in eval mode")


@pytest.mark.parametrize(
    "extra",
    [
        put("pair", lambda value: (6, 6)),
        lambda net, x: setattr(net, "shape", x.shape),
        lambda net, x: setattr(net, "last", x),
        lambda net, x: net.table.setdefault("grid", torch.zeros(3)),
        lambda net, x: (net.items.clear(), net.items.append(x.shape)),
        lambda net, x: setattr(net, "nan", float("nan")),
        lambda net, x: net.known.add(len(x)),
        lambda net, x: setattr(net, "calls", getattr(net, "calls", 0) + net.training),
    ],
)
@pytest.mark.parametrize("count", [1, 2, 3, 65])
def test_what_settles_is_accepted(extra: Callable[[Net, Tensor], object], count: int):
    net = Net(extra)
    quantize_(net, Plan.named("w4a4"))
    Deployed(net, IMAGES[:1].repeat(count, 1, 1, 1))


def test_a_container_that_holds_itself_is_no_trouble():
    net = Net()
    net.table["self"] = net.table
    net.table["net"] = net
    quantize_(net, Plan.named("w4a4"))
    Deployed(net, IMAGES)


BY_NUMBER = "Net: what it calls depends on the number of images"
BY_GRADIENT = "Net: what it calls depends on whether gradients are on"


@pytest.mark.parametrize(
    ("middle", "start"),
    [
        (lambda net, x: net.even(x) if len(x) == 1 else x, BY_NUMBER),
        (lambda net, x: x.sigmoid() if x.shape[0] == 1 else x, BY_NUMBER),
        (lambda net, x: net.even(x) if len(x) % 2 else x, BY_NUMBER),
        (lambda net, x: x if len(x) == len(IMAGES) else -x, BY_NUMBER),
        (lambda net, x: net.even(x) if torch.is_grad_enabled() else x, BY_GRADIENT),
        (lambda net, x: -x if torch.is_grad_enabled() else x, BY_GRADIENT),
        (lambda net, x: -x if x.requires_grad else x, BY_GRADIENT),
    ],
)
def test_what_depends_on_the_batch_or_on_gradients_is_refused(middle: Callable[[Net, Tensor], Tensor], start: str):
    found = problems(Net(middle=middle))
    assert len(found) == 1
    assert found[0].startswith(start)


def test_a_single_image_may_be_what_a_network_cannot_take():
    class Squeezed(Net):
        def forward(self, x: Tensor) -> Tensor:
            x = self.relu(self.norm(self.conv(x)))
            return self.fc(x.mean((2, 3), keepdim=True).squeeze())

    net = Squeezed()
    net.fc = nn.Linear(4, 3)
    quantize_(net, Plan.named("w4a4"))
    Deployed(net, IMAGES)
