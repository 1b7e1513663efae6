"""PACT's gradients, to every order and through every transform, against the papers' formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassbit.quant import PACT

from . import reference

ALPHA = 1.5
LAYOUTS = {
    "contiguous": torch.contiguous_format,
    "channels_last": torch.channels_last,
}


def straight_through(x: Tensor, alpha: Tensor, bits: int) -> Tensor:
    """1805.06085 equations 1 and 2 in plain operations, the rounding straight through; autograd does the rest."""
    y = 0.5 * (x.abs() - (x - alpha).abs() + alpha)
    levels = 2**bits - 1
    rounded = (y.detach() * levels / alpha.detach()).round() * alpha.detach() / levels
    return y + (rounded - y.detach())


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_nothing_inside_the_range_reaches_alpha(bits: int, dtype: torch.dtype, layout: str) -> None:
    inside = torch.rand(4, 6, 9, 9, generator=torch.Generator().manual_seed(0)) * 1.49 - 0.2
    x = inside.to(dtype).contiguous(memory_format=LAYOUTS[layout]).requires_grad_()
    quantizer = PACT(bits, alpha=ALPHA)
    quantizer(x).backward(draw(4, 6, 9, 9, dtype=torch.float32).to(dtype))
    assert quantizer.alpha.grad.item() == 0.0


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("alpha", [0.05, 1.5, 10.0])
def test_gradient_of_alpha_sums_what_is_clipped(alpha: float, dtype: torch.dtype, layout: str) -> None:
    x = draw(8, 6, 9, 9).to(dtype).contiguous(memory_format=LAYOUTS[layout])
    grad = draw(8, 6, 9, 9, seed=1).to(dtype)
    quantizer = PACT(4, alpha=alpha)
    x.requires_grad_()
    quantizer(x).backward(grad)
    grad_x, grad_alpha = reference.pact_gradient(
        grad.double().numpy(), x.detach().double().numpy(), quantizer.alpha.item()
    )
    assert np.array_equal(x.grad.double().numpy(), grad_x)
    # float32 sums of the clipped terms; their order is free
    terms = float((grad.double().abs() * (x >= alpha)).sum())
    assert quantizer.alpha.grad.item() == pytest.approx(grad_alpha, abs=1e-5 * max(terms, 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_boundaries_belong_to_the_outside(dtype: torch.dtype) -> None:
    above, below = (torch.tensor(ALPHA, dtype=dtype).nextafter(torch.tensor(end, dtype=dtype)) for end in (9.0, 0.0))
    x = torch.stack([torch.tensor(v, dtype=dtype) for v in (0.0, -0.0, 1e-30, ALPHA, -1.0)] + [above, below])
    x.requires_grad_()
    quantizer = PACT(4, alpha=ALPHA)
    values = quantizer(x)
    values.backward(torch.arange(1, 8, dtype=dtype))
    assert values.tolist()[:5] == [0.0, 0.0, 0.0, ALPHA, 0.0]
    assert x.grad.tolist() == [0, 0, 3, 0, 0, 0, 7]
    assert quantizer.alpha.grad.item() == 4 + 6


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_first_and_second_derivatives_equal_autograd_of_the_paper_form(bits: int, dtype: torch.dtype) -> None:
    """The saliency objective in small: a loss on the input's gradient, differentiated by weights and alpha."""
    w1, w2, x = (draw(*shape, seed=i, dtype=dtype) for i, shape in enumerate([(5, 4), (3, 5), (6, 4)]))
    results = []
    for ours in (True, False):
        quantizer = PACT(bits, alpha=ALPHA).to(dtype)
        leaves = [t.clone().requires_grad_() for t in (w1, w2, x)]
        hidden = leaves[2] @ leaves[0].T
        y = quantizer(hidden) if ours else straight_through(hidden, quantizer.alpha, bits)
        score = (y @ leaves[1].T).square()[:, 0].sum()
        (saliency,) = torch.autograd.grad(score, leaves[2], create_graph=True)
        (score + saliency.square().sum()).backward()
        results.append([saliency, *(leaf.grad for leaf in leaves), quantizer.alpha.grad])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-4, atol=2e-4 if dtype == torch.float32 else 1e-9)


def test_second_derivative_through_alpha() -> None:
    """d/dalpha of the loss is itself linear in the incoming gradient; differentiating it must reach what made that."""
    x, v = draw(40), draw(40, seed=1).requires_grad_()
    quantizer = PACT(4, alpha=ALPHA).double()
    (grad_alpha,) = torch.autograd.grad((quantizer(x) * v).sum(), quantizer.alpha, create_graph=True)
    grad_alpha.backward()
    assert torch.equal(v.grad, (x >= ALPHA).double())


def test_gradcheck_where_the_rounding_is_no_step() -> None:
    """Outside the range the quantizer is smooth: there finite differences are the truth, for both orders."""
    x = torch.tensor([-2.0, -0.5, 1.8, 2.5, 4.0], dtype=torch.float64, requires_grad=True)
    quantizer = PACT(3, alpha=ALPHA).double()
    call = lambda x, alpha: torch.func.functional_call(quantizer, {"alpha": alpha}, (x,))  # noqa: E731
    assert torch.autograd.gradcheck(call, (x, quantizer.alpha))
    assert torch.autograd.gradgradcheck(call, (x, quantizer.alpha))


class TestTransforms:
    """torch.func."""

    quantizer = PACT(3, alpha=ALPHA).double()

    def call(self, x: Tensor, alpha: Tensor) -> Tensor:
        return torch.func.functional_call(self.quantizer, {"alpha": alpha}, (x,))

    def test_grad(self) -> None:
        x, g, alpha = draw(30), draw(30, seed=1), torch.tensor(ALPHA).double()
        grads = torch.func.grad(lambda x, a: (g * self.call(x, a)).sum(), argnums=(0, 1))(x, alpha)
        expected = reference.pact_gradient(g.numpy(), x.numpy(), ALPHA)
        np.testing.assert_allclose(grads[0].numpy(), expected[0])
        assert grads[1].item() == pytest.approx(expected[1])

    def test_vmap(self) -> None:
        x, alpha = draw(5, 30), torch.tensor(ALPHA).double()
        assert torch.equal(torch.vmap(self.call, in_dims=(0, None))(x, alpha), self.call(x, alpha))
        alphas = torch.linspace(0.5, 3, 5).double()
        batched = torch.vmap(self.call)(x, alphas)
        assert torch.equal(batched, torch.stack([self.call(row, a) for row, a in zip(x, alphas, strict=True)]))

    @pytest.mark.parametrize("bits", [2, 4, 8])
    def test_traced_arithmetic_rounds_like_the_plain_one(self, bits: int) -> None:
        """Transforms, compilation and GPUs keep alpha a tensor; the codes next to a tie must not depend on it."""
        for alpha in torch.linspace(0.3, 12, 20):
            quantizer = PACT(bits, alpha=alpha.item())
            ties = quantizer.scale() * (torch.arange(2**bits) + 0.5)
            x = torch.stack([ties, *(ties.nextafter(torch.full_like(ties, end)) for end in (0.0, 99.0))])
            assert torch.equal(torch.vmap(quantizer)(x), quantizer(x))

    def test_gradients_of_every_sample(self) -> None:
        x, alpha = draw(5, 30), torch.tensor(ALPHA).double()
        per_sample = torch.vmap(torch.func.grad(lambda x, a: self.call(x, a).sum(), argnums=(0, 1)), in_dims=(0, None))
        grad_x, grad_alpha = per_sample(x, alpha)
        assert torch.equal(grad_x, ((x > 0) & (x < ALPHA)).double())
        torch.testing.assert_close(grad_alpha, (x >= ALPHA).double().sum(1))

    @pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
    @pytest.mark.parametrize("which", ["both", "x", "alpha"])
    def test_jvp(self, which: str) -> None:
        x, tangent, alpha = draw(30), draw(30, seed=1), torch.tensor(ALPHA).double()
        inside, clipped = ((x > 0) & (x < ALPHA)).double(), (x >= ALPHA).double()
        if which == "both":
            values, out = torch.func.jvp(self.call, (x, alpha), (tangent, torch.tensor(0.3).double()))
            expected = tangent * inside + 0.3 * clipped
        elif which == "x":
            values, out = torch.func.jvp(lambda x: self.call(x, alpha), (x,), (tangent,))
            expected = tangent * inside
        else:
            values, out = torch.func.jvp(lambda a: self.call(x, a), (alpha,), (torch.tensor(0.3).double(),))
            expected = 0.3 * clipped
        assert torch.equal(values, self.call(x, alpha))
        torch.testing.assert_close(out, expected)

    def test_hessian_vector_product(self) -> None:
        w, x = draw(4, 3), draw(6, 3, seed=1)
        alpha = torch.tensor(ALPHA).double()

        def loss(w: Tensor, quantizer) -> Tensor:
            return (quantizer(x @ w.T, alpha) ** 2).sum()

        def product(quantizer) -> Tensor:
            direction = torch.ones_like(w)
            return torch.func.grad(lambda w: (torch.func.grad(loss)(w, quantizer) * direction).sum())(w)

        torch.testing.assert_close(product(self.call), product(lambda x, a: straight_through(x, a, 3)))


def test_the_input_is_left_alone() -> None:
    x = draw(4, 5, dtype=torch.float32)
    before = x.clone()
    PACT(4, alpha=ALPHA)(x)
    assert torch.equal(x, before)


def test_one_parameter_named_alpha() -> None:
    quantizer = PACT(4)
    assert isinstance(quantizer.alpha, nn.Parameter)
    assert quantizer.alpha.shape == ()
    assert quantizer.alpha.item() == 10.0
    assert [name for name, _ in quantizer.named_parameters()] == ["alpha"]


def test_frozen_alpha() -> None:
    quantizer, x = PACT(4, alpha=ALPHA), draw(20).float().requires_grad_()
    quantizer.alpha.requires_grad_(False)
    quantizer(x).sum().backward()
    assert quantizer.alpha.grad is None
    assert torch.equal(x.grad, ((x > 0) & (x < ALPHA)).float())


def test_autocast() -> None:
    layer, quantizer = nn.Conv2d(2, 4, 3), PACT(4, alpha=0.4)
    x = draw(3, 2, 8, 8, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = quantizer(layer(x))
    assert values.dtype == torch.bfloat16
    values.float().sum().backward()
    assert layer.weight.grad.isfinite().all()
    assert quantizer.alpha.grad.dtype == torch.float32


def test_a_pass_for_a_map_leaves_the_gradient_of_alpha_out_and_the_next_one_has_it() -> None:
    quantizer = PACT(4, alpha=1.0)
    x = torch.tensor([-1.0, 0.5, 2.0, 3.0], requires_grad=True)
    y = quantizer(x)
    (first,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    assert first.tolist() == [0.0, 1.0, 0.0, 0.0]
    assert quantizer.alpha.grad is None
    y.sum().backward()
    assert quantizer.alpha.grad is not None
    assert quantizer.alpha.grad.item() == 2.0


def test_the_gradient_of_alpha_is_exact_whatever_lies_inside_the_range() -> None:
    quantizer = PACT(4, alpha=1.0)
    x = torch.rand(1 << 16) * 0.999
    y = quantizer(torch.cat([x, torch.tensor([1.0, 1.5])]))
    y.backward(torch.cat([torch.randn(1 << 16), torch.tensor([0.25, 0.5])]))
    assert quantizer.alpha.grad is not None
    assert quantizer.alpha.grad.item() == 0.75


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 1, 4, 5), (2, 3, 1, 1)])
def test_gradients_lie_in_memory_as_the_activations_do(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape).contiguous(memory_format=torch.channels_last).requires_grad_()
    PACT(4)(x).mul(1.0).backward(torch.rand(shape))
    assert x.grad is not None
    assert x.grad.is_contiguous(memory_format=torch.channels_last)
