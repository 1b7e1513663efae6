"""Max-sensitivity against the formula in NumPy, and on maps that are known to stay or to vanish."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit.measure import Subject, TorchSubject, max_sensitivity

from .mlp import SHAPE, Twin, artifact, classes, deployed, mlp, pictures


class Watched(TorchSubject):
    """Keeps the images that it was asked about."""

    def __init__(self, model: nn.Module, **options) -> None:
        super().__init__(model, name="net", image_shape=SHAPE, **options)
        self.seen: list[Tensor] = []

    def saliency(self, images: Tensor, targets: Tensor) -> Tensor:
        self.seen.append(images)
        return super().saliency(images, targets)


def plain(model: nn.Module, batch: int = 250) -> Subject:
    return TorchSubject(model, name="net", image_shape=SHAPE, batch=batch)


def around(subject: Watched, n: int, samples: int) -> np.ndarray:
    """(n, samples, ...) images that were asked about besides the first ones."""
    drawn = [images for images in subject.seen if len(images) % samples == 0 and images is not subject.seen[0]]
    return torch.cat(drawn).view(n, samples, *SHAPE).numpy()


@pytest.mark.parametrize("bits", [None, 8, 4, 2])
@pytest.mark.parametrize("radius", [0.02, 0.1])
def test_it_equals_the_formula(bits, radius) -> None:
    model, images, targets = mlp(bits), pictures(), classes()
    subject, twin = Watched(model), Twin(model)
    found = max_sensitivity(subject, images, targets, radius=radius)
    wanted = []
    for image, target, copies in zip(images.numpy(), targets.tolist(), around(subject, 7, 10), strict=True):
        own = twin.saliency(image, target)
        moves = [np.sqrt(((twin.saliency(copy, target) - own) ** 2).sum()) for copy in copies]
        wanted.append(max(moves) / np.sqrt((own**2).sum()))
    assert found.dtype == np.float64
    assert min(wanted) >= 0 < max(wanted)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("radius", [0.02, 0.1])
def test_the_images_are_bytes_everywhere_in_the_box_and_in_range(radius) -> None:
    images = pictures()
    subject = Watched(mlp())
    max_sensitivity(subject, images, classes(), radius=radius, samples=20)
    assert all(seen.dtype == torch.uint8 for seen in subject.seen)
    assert torch.equal(subject.seen[0], images)
    copies = around(subject, 7, 20).astype(int)
    before = images.numpy()[:, None].astype(int)
    steps = (copies - before)[np.broadcast_to((before > 26) & (before < 229), copies.shape)]
    assert (np.unique(steps) == np.arange(-int(255 * radius), int(255 * radius) + 1)).all()
    assert abs(steps.mean()) < 0.05 * steps.std()
    assert len(np.unique(copies.reshape(140, -1), axis=0)) == 140


@pytest.mark.parametrize("factor", [1e-12, 1e6])
def test_the_scale_of_the_map_does_not_count(factor) -> None:
    class Scaled(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            return self.model(x) * factor

    wanted = max_sensitivity(plain(mlp()), pictures(), classes(), radius=0.1)
    found = max_sensitivity(plain(Scaled(mlp())), pictures(), classes(), radius=0.1)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_linear_network_does_not_move() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(60, 3))
    assert not max_sensitivity(plain(model), pictures(), classes(), radius=0.1).any()


def test_a_map_of_zeros_that_wakes_up_has_no_value_and_one_that_sleeps_on_has_zero() -> None:
    class Threshold(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            above = (x[:, 0, :1, 0] - 100.5 / 255).relu()
            return torch.cat([above, above], 1)

    images = torch.zeros(3, *SHAPE, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.tensor([100, 50, 200])
    found = max_sensitivity(plain(Threshold()), images, torch.tensor([0, 1, 1]), radius=0.02)
    np.testing.assert_array_equal(found, [np.nan, 0, 0])


def test_the_seed_and_the_place_decide_and_neither_batch_nor_neighbours_nor_the_global_state() -> None:
    model, images, targets = mlp(4), pictures(60), classes(60)
    first = max_sensitivity(plain(model), images, targets, radius=0.1)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = max_sensitivity(plain(model), images, targets, radius=0.1)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(again, first)
    np.testing.assert_allclose(max_sensitivity(plain(model, batch=7), images, targets, radius=0.1), first, rtol=1e-5)
    few = max_sensitivity(plain(model), images[:31], targets[:31], radius=0.1)
    np.testing.assert_allclose(few, first[:31], rtol=1e-5)
    assert (max_sensitivity(plain(model), images, targets, radius=0.1, seed=1) != first).sum() > 30


def test_every_image_has_draws_of_its_own() -> None:
    subject = Watched(mlp())
    max_sensitivity(subject, pictures(1).expand(7, *SHAPE), classes(), radius=0.1)
    assert len(np.unique(around(subject, 7, 10).reshape(70, -1), axis=0)) == 70


def test_one_image_and_one_sample_are_enough() -> None:
    assert max_sensitivity(plain(mlp()), pictures(1), classes(1), radius=0.1, samples=1).shape == (1,)
    assert max_sensitivity(plain(mlp()), pictures(0), classes(0), radius=0.1).shape == (0,)


def test_progress_counts_images() -> None:
    done: list[int] = []
    max_sensitivity(plain(mlp()), pictures(60), classes(60), radius=0.1, progress=done.append)
    assert sum(done) == 60
    assert len(done) > 1


def test_a_file_has_a_value_too(tmp_path) -> None:
    found = max_sensitivity(artifact(tmp_path), pictures(), classes(), radius=0.1)
    wanted = max_sensitivity(plain(deployed()), pictures(), classes(), radius=0.1)
    assert found.max() > 0
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"radius": 0.003}, r"radius must be 1/255 to 1; got 0\.003; pass at least one step"),
        ({"radius": 1.5}, r"radius must be a number, 0\.\.1; got 1\.5"),
        ({"radius": float("nan")}, "radius must be .*; got nan"),
        ({"samples": 0}, r"samples must be a whole number, 1\.\.10000; got 0"),
        ({"images": pictures() / 255}, r"images must be uint8 .* as a device would receive them; got torch.float32"),
        (
            {"targets": classes() + 1},
            r"max_sensitivity: targets must be 7 class numbers 0\.\.2 as integers, one per image; got 3",
        ),
    ],
)
def test_what_it_cannot_do_is_refused(change, text) -> None:
    arguments = {"images": pictures(), "targets": classes(), "radius": 0.1, **change}
    with pytest.raises(UsageError, match=text):
        max_sensitivity(plain(mlp()), arguments.pop("images"), arguments.pop("targets"), **arguments)
