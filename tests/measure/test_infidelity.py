"""Normalised infidelity against the formula in NumPy, and where the gradient foretells everything or nothing."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit.measure import Subject, TorchSubject, infidelity

from .mlp import SHAPE, Twin, artifact, classes, deployed, mlp, pictures


class Watched(TorchSubject):
    """Keeps the images that it was asked about."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, name="net", image_shape=SHAPE)
        self.seen: list[Tensor] = []

    def logits(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        return super().logits(images)

    def noisy(self, n: int, samples: int) -> np.ndarray:
        """(n, samples, ...) images that were asked about, without the clean ones."""
        assert {images.dtype for images in self.seen} == {torch.uint8}
        pieces = [max(pair, key=len) for pair in zip(self.seen[::2], self.seen[1::2], strict=True)]
        return torch.cat(pieces).view(n, samples, *SHAPE).numpy()


class Scaled(nn.Module):
    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model = model
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) * self.factor


def plain(model: nn.Module, shape: tuple[int, int, int] = SHAPE, batch: int = 250) -> Subject:
    return TorchSubject(model, name="net", image_shape=shape, batch=batch)


@pytest.mark.parametrize("bits", [None, 8, 4, 2])
@pytest.mark.parametrize("sd", [0.05, 0.2])
def test_it_equals_the_formula(bits, sd) -> None:
    model, images, targets = mlp(bits), pictures(20), classes(20)
    subject, twin = Watched(model), Twin(model)
    found = infidelity(subject, images, targets, sd=sd)
    wanted = []
    for image, target, copies in zip(images.numpy(), targets.tolist(), subject.noisy(20, 20), strict=True):
        gradient, logit = twin.gradient(image, target), twin.logits(image)[target]
        foretold = np.array([((image.astype(float) - copy_) / 255 * gradient).sum() for copy_ in copies])
        happened = np.array([logit - twin.logits(copy_)[target] for copy_ in copies])
        beta = (foretold * happened).sum() / (foretold**2).sum() if foretold.any() else 0.0
        wanted.append(((beta * foretold - happened) ** 2).sum() / (happened**2).sum())
    assert found.dtype == np.float64
    assert 0 < min(wanted) < max(wanted) <= 1
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-10)


def test_the_noise_is_gaussian_around_the_image_in_bytes() -> None:
    images = torch.full((10, *SHAPE), 128, dtype=torch.uint8)
    subject = Watched(mlp())
    infidelity(subject, images, classes(10), sd=0.1, samples=30)
    steps = (subject.noisy(10, 30).astype(float) - 128) / 255
    assert abs(steps.mean()) < 4 * 0.1 / np.sqrt(steps.size)
    assert abs(steps.std() / 0.1 - 1) < 0.03
    assert 0.65 < (np.abs(steps) < 0.1).mean() < 0.72
    assert len(np.unique(steps.reshape(300, -1), axis=0)) == 300


def test_the_gradient_of_a_linear_network_foretells_everything() -> None:
    """Also where noise is cut off at black and white, since what counts is what really changed."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(60, 3))
    images = pictures(30)
    images[:10] = 0
    images[10:20] = 255
    assert np.abs(infidelity(plain(model), images, classes(30), sd=0.3)).max() < 1e-9


def test_a_gradient_of_zeros_foretells_nothing() -> None:
    class Step(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mean = x.mean((1, 2, 3))[:, None]
            return (mean.detach() + 0 * mean).expand(-1, 3)

    np.testing.assert_allclose(infidelity(plain(Step()), pictures(10), classes(10)), 1.0)


def test_where_the_logit_does_not_move_there_is_nothing_to_foretell() -> None:
    class Still(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 0 * x.mean((1, 2, 3))[:, None].expand(-1, 3)

    assert np.isnan(infidelity(plain(Still()), pictures(4), classes(4))).all()


def test_neither_the_size_of_the_gradient_nor_that_of_the_logits_counts() -> None:
    class Louder(nn.Module):
        """The logits of a network, with seven times their gradient."""

        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            logits = self.model(x)
            return logits.detach() + 7 * (logits - logits.detach())

    once = infidelity(plain(mlp()), pictures(), classes())
    np.testing.assert_allclose(infidelity(plain(Louder(mlp())), pictures(), classes()), once, rtol=1e-4)
    np.testing.assert_allclose(infidelity(plain(Scaled(mlp(), 2)), pictures(), classes()), once, rtol=1e-4)


def test_the_seed_and_the_place_decide_and_neither_batch_nor_neighbours_nor_the_global_state() -> None:
    model, images, targets = mlp(4), pictures(40), classes(40)
    first = infidelity(plain(model), images, targets)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = infidelity(plain(model), images, targets)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(again, first)
    np.testing.assert_allclose(infidelity(plain(model, batch=7), images, targets), first, rtol=1e-4)
    np.testing.assert_allclose(infidelity(plain(model), images[:31], targets[:31]), first[:31], rtol=1e-4)
    assert (infidelity(plain(model), images, targets, seed=1) != first).all()


@pytest.mark.parametrize("plan", [None, "w2a2"])
def test_the_network_is_left_as_it_was(make, images, plan) -> None:
    model = make(plan=plan).train()
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        found = infidelity(plain(model, (2, 12, 10)), images, torch.tensor([0, 1, 2, 2, 1, 0]))
    assert (found > 0).all()
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_deployed_arithmetic_has_a_gradient_too() -> None:
    found = infidelity(plain(deployed()), pictures(), classes())
    rounded_otherwise = infidelity(plain(mlp(4)), pictures(), classes())
    assert found.mean() == pytest.approx(rounded_otherwise.mean(), rel=0.2)


def test_few_images_are_enough_and_progress_counts_them() -> None:
    assert infidelity(plain(mlp()), pictures(1), classes(1), samples=2).shape == (1,)
    assert infidelity(plain(mlp()), pictures(0), classes(0)).shape == (0,)
    done: list[int] = []
    infidelity(plain(mlp()), pictures(40), classes(40), progress=done.append)
    assert sum(done) == 40
    assert len(done) > 1


def test_a_file_is_refused_with_the_reason(tmp_path) -> None:
    text = (
        "infidelity: shop must be a network with a signed gradient; got a file, whose maps have no signs; "
        "measure the network that it was made from"
    )
    with pytest.raises(UsageError, match=f"^{text}$"):
        infidelity(artifact(tmp_path), pictures(), classes())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"sd": 0.02}, r"sd must be a number, 0\.05\.\.1; got 0\.02; pass one"),
        ({"sd": float("inf")}, r"sd must be .*; got inf"),
        ({"samples": 1}, r"samples must be a whole number, 2\.\.10000; got 1"),
        ({"images": pictures() / 255}, r"images must be uint8 .* as a device would receive them; got torch.float32"),
    ],
)
def test_what_it_cannot_do_is_refused(change, text) -> None:
    with pytest.raises(UsageError, match=text):
        infidelity(plain(mlp()), change.pop("images", pictures()), classes(), **change)
