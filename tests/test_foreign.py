"""What code of the user's raises is said to be its own, whatever it is."""

from __future__ import annotations

import types

import pytest
import torch
from torch import nn

from glassbit._errors import DataError, RunError, UsageError
from glassbit._foreign import calling, naming_outsiders, outsider, said, told
from glassbit.measure import TorchSubject


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("\x1b[31mred\nline"), "ValueError: \\x1b[31mred line"),
        (ValueError("\ud800"), "ValueError: \\ud800"),
        (MuteError(), "MuteError: its text cannot be shown"),
        (GeneratorExit(), "GeneratorExit"),
        (BaseException("b"), "BaseException: b"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_any_error_has_a_text_on_one_line(error: BaseException, text: str) -> None:
    assert told(error) == text
    with pytest.raises(UsageError) as caught, calling("own:net: must run"):
        raise error
    assert str(caught.value) == f"own:net: must run; got: {text}; repair it there"
    assert caught.value.__cause__ is error


def test_a_long_text_is_cut() -> None:
    assert len(told(ValueError("x" * 100_000))) == 500


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DataError("gone")])
def test_ctrl_c_and_our_own_errors_go_through(error: BaseException) -> None:
    for guard in (calling("x"), naming_outsiders()):
        with pytest.raises(type(error)) as caught, guard:
            raise error
        assert caught.value is error


def _network(error: str) -> nn.Module:
    """A module whose class is in a file that is neither ours nor a library's."""
    own = types.ModuleType("own_network")
    text = f"from torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n        raise {error}\n"
    exec(compile(text, "own_network.py", "exec"), own.__dict__)
    network: nn.Module = own.Net()
    return network


@pytest.mark.parametrize(
    ("error", "text"), [("ValueError('no')", "ValueError: no"), ("GeneratorExit", "GeneratorExit")]
)
def test_a_network_that_raises_amid_our_work_is_named(error: str, text: str) -> None:
    with pytest.raises(RunError) as caught, naming_outsiders():
        TorchSubject(_network(error), name="x", image_shape=(1, 2, 2))
    assert (
        str(caught.value) == f"own_network.Net.forward, which is not Glassbit's, must run; got: {text}; repair it there"
    )


def test_a_mistake_of_our_own_is_not_put_on_others() -> None:
    with pytest.raises(RuntimeError) as caught, naming_outsiders():
        nn.Linear(2, 2)(torch.zeros(1, 3))
    assert outsider(caught.value) is None
    assert said(caught.value).startswith("RuntimeError: mat1")
