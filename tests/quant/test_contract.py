"""What every quantizer promises, and what PACT promises on top."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._quantizers import ACTIVATIONS, WEIGHTS, Named
from glassbit.quant import LSQ, PACT, SAWB, DoReFa, LSQActivation, QuantizedLinear, Quantizer
from glassbit.quant._named import activation_kind, weight_kind

from . import reference

ALPHA = 2.7
STEP = 0.3
EVERY = range(2, 9)


@dataclass(frozen=True)
class Case:
    """A quantizer and its twin; `ratio` is what the twin rounds (codes may differ where it is next to a half)."""

    name: str
    bits: int
    make: Callable[[], nn.Module]
    forward: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, float]]
    gradient: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, ...]]
    learned: str = ""
    fixed_scale: bool = True
    tolerance: float = 3e-5

    def __str__(self) -> str:
        return f"{self.name}-{self.bits}"


def _features(v: np.ndarray, *, signed: bool) -> int:
    return v.size if signed or v.ndim < 2 else v[0].size


def _lsq(bits: int, *, signed: bool) -> Case:
    return Case(
        f"LSQ-{'signed' if signed else 'unsigned'}",
        bits,
        lambda: (LSQ if signed else LSQActivation)(bits, step=STEP),
        lambda v: reference.lsq_forward(v, float(np.float32(STEP)), bits, signed=signed),
        lambda g, v: reference.lsq_gradient(
            g, v, float(np.float32(STEP)), bits, signed=signed, n=_features(v, signed=signed)
        ),
        "step",
    )


def _pact(bits: int) -> Case:
    alpha = float(np.float32(ALPHA))
    return Case(
        "PACT",
        bits,
        lambda: PACT(bits, alpha=ALPHA),
        lambda x: reference.pact_forward(x, alpha, bits),
        lambda g, x: reference.pact_gradient(g, x, alpha),
        "alpha",
    )


def _dorefa(bits: int) -> Case:
    return Case(
        "DoReFa",
        bits,
        lambda: DoReFa(bits),
        lambda w: reference.dorefa_forward(w, bits),
        lambda g, w: (reference.dorefa_gradient(g, w),),
        fixed_scale=False,
    )


def _sawb(bits: int) -> Case:
    return Case(
        "SAWB",
        bits,
        lambda: SAWB(bits),
        lambda w: reference.sawb_forward(w, bits),
        lambda g, w: (reference.sawb_gradient(g),),
        fixed_scale=False,
        tolerance=3e-4,
    )


CASES = [
    *(_pact(bits) for bits in EVERY),
    *(_dorefa(bits) for bits in EVERY),
    *(_sawb(bits) for bits in (2, 3, 4, 5, 8)),
    *(_lsq(bits, signed=True) for bits in EVERY),
    *(_lsq(bits, signed=False) for bits in EVERY),
]
FEW = [case for case in CASES if case.bits in (2, 4)]

MARKS = [float(np.float32(value)) for value in (0.0, ALPHA, STEP, 1.0, -1.0)]
floats = st.floats(-12, 12, width=32) | st.floats(-0.125, 0.125, width=32) | st.sampled_from(MARKS)
tensors = arrays(np.float32, array_shapes(max_dims=4, max_side=6), elements=floats).map(torch.from_numpy)
quick = settings(
    max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)

per_case = pytest.mark.parametrize("case", CASES, ids=str)
per_few = pytest.mark.parametrize("case", FEW, ids=str)


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Values that clip on both sides, without exact ties."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2


def assert_on_grid(quantizer: nn.Module, x: Tensor) -> None:
    values, codes = quantizer(x), quantizer.to_int(x)
    assert codes.dtype == torch.int32
    assert codes.shape == values.shape == x.shape
    assert values.dtype == x.dtype
    low, high = quantizer.codes
    assert high - low + 1 <= 2**quantizer.bits
    assert codes.min() >= low
    assert codes.max() <= high
    assert torch.equal(values, (quantizer.scale(x) * (codes + quantizer.offset)).to(x.dtype))


@pytest.mark.parametrize(("names", "kind_of"), [(WEIGHTS, weight_kind), (ACTIVATIONS, activation_kind)])
def test_every_name_is_a_quantizer_with_its_bits_and_a_twin(
    names: Mapping[str, Named], kind_of: Callable[[str], type[Quantizer]]
) -> None:
    tried = {(type(quantizer), quantizer.bits) for quantizer in (case.make() for case in CASES)}
    for name, named in names.items():
        kind = kind_of(name)
        assert {bits for found, bits in tried if found is kind} == set(named.bits), f"a row in CASES for {name}"
        for bits in {*EVERY} - {*named.bits}:
            with pytest.raises(UsageError, match="bits must be one of"):
                kind(bits)
    assert all(any(bits in named.bits for named in names.values()) for bits in EVERY)


@per_case
@quick
@given(x=tensors)
def test_values_are_scaled_codes_exactly(case: Case, x: Tensor) -> None:
    quantizer = case.make()
    assert_on_grid(quantizer, x)
    assert len(quantizer(x).unique()) <= 2**case.bits


@per_case
def test_values_are_scaled_codes_next_to_the_ties(case: Case) -> None:
    """A code that the forward pass rounds up and `to_int` down shows here first."""
    for seed in range(30):
        quantizer = case.make()
        for parameter in quantizer.parameters():
            nn.init.uniform_(parameter, 0.05, 12, generator=torch.Generator().manual_seed(seed))
        levels = (
            torch.arange(2**case.bits) + quantizer.offset + (0 if case.name != "LSQ-signed" else quantizer.codes[0])
        )
        ties = quantizer.scale(levels) * (levels + 0.5)
        up, down = torch.full_like(ties, torch.inf), torch.full_like(ties, -torch.inf)
        assert_on_grid(quantizer, torch.cat([ties, ties.nextafter(up), ties.nextafter(down)]))


@per_case
@quick
@given(x=tensors)
def test_idempotent_at_a_fixed_scale(case: Case, x: Tensor) -> None:
    quantizer = case.make()
    values = quantizer(x)
    if case.fixed_scale:
        assert torch.equal(quantizer(values), values)
    again = (values / quantizer.scale(x) - quantizer.offset).round()
    assert torch.equal(again.to(torch.int32), quantizer.to_int(x))


@per_case
@quick
@given(x=tensors)
def test_monotone(case: Case, x: Tensor) -> None:
    values = case.make()(x.flatten().sort().values)
    assert (values.diff() >= 0).all()


@per_case
@quick
@given(x=tensors)
def test_equal_to_the_twin(case: Case, x: Tensor) -> None:
    """The same codes, but for values within float32's reach of a tie, and the same scale."""
    largest = x.abs().max().item()
    assume(largest > 1e-9)  # the papers' scale is 0 at 0, so ours has a floor
    quantizer = case.make()
    values, codes, scale = case.forward(x.double().numpy())
    if case.name == "SAWB":
        assume(scale * 2**case.bits > 0.1 * largest)  # a difference of two large numbers otherwise
    assert quantizer.scale(x).item() == pytest.approx(scale, rel=case.tolerance)
    off = np.abs(quantizer.to_int(x).numpy() - codes)
    assert off.max() <= 1
    reach = case.tolerance * largest
    for value in x[torch.from_numpy(off == 1)].unique():
        down, up = (case.forward(torch.where(x == value, value + e, x).double().numpy())[1] for e in (-reach, reach))
        assert (down != up).any(), f"{value} is not at a tie"
    ours, same = quantizer(x).detach().numpy(), off == 0
    np.testing.assert_allclose(ours[same], values[same], rtol=case.tolerance, atol=1e-6)


@per_case
def test_equal_to_the_twin_in_float64(case: Case) -> None:
    for seed in range(5):
        x = draw(4, 3, 5, 5, seed=seed, dtype=torch.float64)
        quantizer = case.make().double()
        values, codes, scale = case.forward(x.numpy())
        assert np.array_equal(quantizer.to_int(x).numpy(), codes)
        assert quantizer.scale(x).item() == pytest.approx(scale, rel=1e-6)
        np.testing.assert_allclose(quantizer(x).detach().numpy(), values, rtol=1e-6, atol=1e-9)


@per_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_is_the_papers(case: Case, dtype: torch.dtype) -> None:
    for seed, shape in enumerate([(50,), (7, 9), (4, 3, 5, 6)]):
        x = draw(*shape, seed=seed, dtype=dtype).requires_grad_()
        grad = draw(*shape, seed=seed + 9, dtype=dtype)
        quantizer = case.make().to(dtype)
        quantizer(x).backward(grad)
        expected = case.gradient(grad.double().numpy(), x.detach().double().numpy())
        np.testing.assert_allclose(x.grad.double().numpy(), expected[0], rtol=1e-4, atol=1e-5)
        if case.learned:
            learned = getattr(quantizer, case.learned).grad
            assert learned.item() == pytest.approx(expected[1], rel=1e-4, abs=1e-4)
        else:
            assert not list(quantizer.parameters())


def test_the_twin_of_dorefa_by_differences() -> None:
    """The chain rule of the twin against differences of `tanh(w) / max|tanh(w)|`, its unrounded value."""
    w, grad = draw(9, dtype=torch.float64).numpy(), draw(9, seed=1, dtype=torch.float64).numpy()

    def unrounded(weights: np.ndarray) -> float:
        return float(np.sum(grad * (2 * reference.dorefa_ratio(weights, 4) / 15 - 1)))

    differences = [(unrounded(w + e) - unrounded(w - e)) / 2e-6 for e in 1e-6 * np.eye(9)]
    np.testing.assert_allclose(reference.dorefa_gradient(grad, w), differences, rtol=1e-6, atol=1e-8)


EXTREMES = {
    "zeros": torch.zeros(3, 4),
    "one zero": torch.zeros(1),
    "constant": torch.full((3, 4), 0.7),
    "negative constant": torch.full((3, 4), -0.7),
    "huge": torch.tensor([3e38, -3e38, 1e38, -1.0, 0.0]),
    "one huge": torch.tensor([1e38, *[0.0] * 15]),
    "largest": torch.full((3, 4), torch.finfo(torch.float32).max),
    "subnormal": torch.tensor([1e-40, -1e-42, 0.0, 1e-45]),
    "tiny": torch.tensor([1e-20, -3e-20, 2e-20]),
    "zero-dimensional": torch.tensor(0.3),
}


@per_case
@pytest.mark.parametrize("extreme", EXTREMES)
def test_finite_at_the_extremes(case: Case, extreme: str) -> None:
    x = EXTREMES[extreme].clone().requires_grad_()
    quantizer = case.make()
    values = quantizer(x)
    values.backward(torch.ones_like(values))
    assert values.isfinite().all()
    assert x.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in quantizer.parameters())
    assert_on_grid(quantizer, x.detach())


@per_case
def test_state_dict_round_trip(case: Case) -> None:
    quantizer, x = case.make(), draw(5, 7)
    for parameter in quantizer.parameters():
        nn.init.constant_(parameter, 1.234)
    other = case.make()
    other.load_state_dict(quantizer.state_dict())
    assert torch.equal(other(x), quantizer(x))
    assert torch.equal(copy.deepcopy(quantizer)(x), quantizer(x))


@per_case
def test_bfloat16(case: Case) -> None:
    """bf16 activations or weights, float32 parameters, as under autocast."""
    quantizer = case.make()
    x = draw(4, 3, 6, 6).bfloat16().requires_grad_()
    values = quantizer(x)
    values.sum().backward()
    assert values.dtype == x.grad.dtype == torch.bfloat16
    assert all(parameter.grad.dtype == torch.float32 for parameter in quantizer.parameters())
    assert_on_grid(quantizer, x.detach())
    assert len(values.unique()) <= 2**case.bits
    _, codes, _ = case.forward(x.detach().double().numpy())
    off = np.abs(quantizer.to_int(x).numpy() - codes)
    assert off.max() <= max(1, 2**case.bits / 64)  # bf16 holds 8 significant bits


@per_case
@pytest.mark.parametrize("layout", ["channels_last", "transposed", "strided", "expanded gradient"])
def test_memory_layout_changes_nothing(case: Case, layout: str) -> None:
    plain = draw(4, 3, 6, 8)
    x = {
        "channels_last": plain.contiguous(memory_format=torch.channels_last),
        "transposed": plain.transpose(1, 3).contiguous().transpose(1, 3),
        "strided": torch.stack([plain, plain], -1)[..., 0],
        "expanded gradient": plain.clone(),
    }[layout]
    results = []
    for inputs in (plain.clone(), x):
        quantizer = case.make()
        inputs.requires_grad_()
        values = quantizer(inputs)
        grad = torch.ones(()).expand_as(values) if layout == "expanded gradient" else draw(4, 3, 6, 8, seed=1)
        values.backward(grad)
        results.append((values, inputs.grad, *(p.grad for p in quantizer.parameters())))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-5, atol=1e-5)
    if case.fixed_scale:
        assert torch.equal(results[0][0], results[1][0])


@pytest.mark.filterwarnings("ignore")  # of torch's tracer about itself
@per_few
def test_compiled(case: Case, unchecked: None) -> None:
    x = draw(4, 3, 6, 6)
    grad = draw(4, 3, 6, 6, seed=1)
    results = []
    for compiled in (False, True):
        torch._dynamo.reset()
        quantizer = case.make()
        inputs = x.clone().requires_grad_()
        values = (torch.compile(quantizer, backend="aot_eager") if compiled else quantizer)(inputs)
        values.backward(grad)
        results.append((values, inputs.grad, *(parameter.grad for parameter in quantizer.parameters())))
    for eager, traced in zip(*results, strict=True):
        torch.testing.assert_close(traced, eager, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bits", [-1, 0, 1, 9, 16, True])
@pytest.mark.parametrize("make", [PACT, DoReFa, LSQ], ids=lambda make: make.__name__)
def test_a_bad_bit_width_raises_and_says_so(make: Callable[..., nn.Module], bits: int) -> None:
    with pytest.raises(UsageError, match=rf"{make.__name__}: bits must be one of 2, 3, 4, 5, 6, 7, 8; got {bits}"):
        make(bits)


@pytest.mark.parametrize("bits", [1, 6, 7, 9])
def test_sawb_has_coefficients_for_some_bit_widths(bits: int) -> None:
    with pytest.raises(UsageError, match=rf"SAWB: bits must be one of 2, 3, 4, 5, 8; got {bits}"):
        SAWB(bits)


@pytest.mark.parametrize("bits", [4.0, "4", None])
def test_bits_of_another_type(bits: object, unchecked: None) -> None:
    with pytest.raises(UsageError, match=r"PACT: bits must be one of .*; got"):
        PACT(bits)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_the_first_scale_must_be_positive(value: float) -> None:
    with pytest.raises(UsageError, match="PACT: alpha must be a positive number; got"):
        PACT(4, alpha=value)
    with pytest.raises(UsageError, match="LSQ: step must be a positive number; got"):
        LSQ(4, step=value)


def test_two_bit_sawb_has_the_four_values_of_the_paper() -> None:
    w = draw(400)
    c = reference.sawb_clip(w.double().numpy(), 2)
    np.testing.assert_allclose(SAWB(2)(w).unique().numpy(), [-c, -c / 3, c / 3, c], rtol=1e-5)


@pytest.mark.parametrize("bits", [4, 5, 8])
def test_sawb_falls_back_to_the_largest_weight(bits: int) -> None:
    w = torch.tensor([0.7, -0.7, 0.7])
    assert sum(reference.SAWB_COEFFICIENTS[bits]) < 0, "equal moments make the clipping level negative"
    assert torch.allclose(SAWB(bits)(w), w)


@pytest.mark.parametrize("bits", [3, 4, 5, 8])
def test_sawb_keeps_zero_above_two_bits(bits: int) -> None:
    w = draw(200)
    w[::7] = 0
    values = SAWB(bits)(w)
    assert not values[::7].any()
    assert torch.equal(SAWB(bits)(-w), -values)


def test_eight_bit_sawb_cuts_no_weight_off() -> None:
    w = torch.linspace(-1, 1, 1001)
    assert (SAWB(8)(w) - w).abs().max() <= 0.5 / 127 + 1e-6
    assert reference.SAWB_COEFFICIENTS[8][0] / 3**0.5 + reference.SAWB_COEFFICIENTS[8][1] / 2 < 0.82, "the paper's c"


def test_networks_saved_before_keep_the_clipping_level_that_they_had(tmp_path: Path) -> None:
    w = torch.linspace(-1, 1, 1001)
    state = nn.Sequential(SAWB(8)).state_dict()
    assert state._metadata["0"] == {"version": 2}
    state._metadata["0"]["version"] = 1
    torch.save({"model": state}, tmp_path / "old.pt")
    old = nn.Sequential(SAWB(8))
    old.load_state_dict(torch.load(tmp_path / "old.pt", weights_only=True)["model"])
    assert old(w).max() < 0.82
    assert "covers=False" in repr(old)
    assert torch.equal(copy.deepcopy(old)(w), old(w))
    again = nn.Sequential(SAWB(8))
    again.load_state_dict(old.state_dict())
    assert torch.equal(again(w), old(w))
    layer = nn.Linear(2, 2)
    for state in (layer.state_dict(), dict(layer.state_dict()), QuantizedLinear(layer, SAWB(8)).state_dict()):
        fresh = QuantizedLinear(nn.Linear(2, 2), SAWB(8))
        fresh.load_state_dict(state)
        assert fresh.quantizer.covers


def test_lsq_starts_where_the_paper_does() -> None:
    w = draw(500)
    quantizer = LSQ(3)
    quantizer.initialise_(w)
    assert quantizer.step.item() == pytest.approx(2 * w.abs().mean().item() / 3**0.5, rel=1e-6)
    quantizer.initialise_(torch.zeros(4))
    assert quantizer.step.item() > 0


@pytest.mark.parametrize("make", [lambda: PACT(4), lambda: LSQ(4), lambda: LSQActivation(4)])
@pytest.mark.parametrize("value", [0.0, -3.0, 1e-30])
def test_a_learned_scale_at_or_below_zero_stays_harmless(make: Callable[[], nn.Module], value: float) -> None:
    quantizer, x = make(), draw(6, 7).requires_grad_()
    (parameter,) = quantizer.parameters()
    nn.init.constant_(parameter, value)
    quantizer(x).sum().backward()
    assert quantizer(x).isfinite().all()
    assert quantizer.scale(x) > 0
    assert parameter.grad.isfinite().all()
    assert parameter.grad.abs() > 0, "it can recover"
    assert_on_grid(quantizer, x.detach())
