"""Removal curves against a loop over images, and on networks whose answer can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._random import derive
from glassbit.deploy import Deployed, lower
from glassbit.measure import FILLS, FRACTIONS, ORDERS, ROAD_FRACTIONS, ArtifactSubject, Subject, TorchSubject, remove
from glassbit.measure import _removal as module
from glassbit.models import to_unit

from .test_impute import dense

SHAPE = (2, 12, 10)
LABELS = torch.tensor([0, 1, 2, 2, 1, 0])


class Recorder(Subject):
    """Keeps all images that it is asked about; its logits say how bright the two halves are."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__(name="recorder", classes=2, image_shape=shape, batch=10**6)
        self.seen: list[Tensor] = []

    @property
    def model(self) -> None:
        return

    @property
    def digest(self) -> str:
        raise AssertionError("nothing is kept")

    def _logits(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        middle = images.shape[3] // 2
        x = to_unit(images)
        return torch.stack([x[..., :middle].mean((1, 2, 3)), x[..., middle:].mean((1, 2, 3))], 1)

    def _saliency(self, images: Tensor, targets: Tensor) -> Tensor:
        raise AssertionError("maps are given")


class Spot(nn.Module):
    """Class 1 where the pixel in the middle is bright."""

    def forward(self, x: Tensor) -> Tensor:
        middle = x[:, :, 4, 4].mean(1)
        return torch.stack([torch.full_like(middle, 0.5), middle], 1)


def spots(n: int) -> Tensor:
    images = torch.zeros(n, 2, 10, 10, dtype=torch.uint8)
    images[:, :, 4, 4] = 255
    return images


def test_it_equals_a_loop_over_images(make, images) -> None:
    """The order from argsort, the fill from a dense solve, one image, one fraction and one channel at a time."""
    noise = 0.01 * np.random.default_rng(derive("removal noise", 0)).standard_normal(images.shape)
    subject = TorchSubject(make(plan="w4a4").eval(), name="net", image_shape=SHAPE)
    maps = subject.saliency(images, LABELS) + 1e-3 * torch.rand(6, 12, 10, generator=torch.Generator().manual_seed(0))
    fractions = (0.0, 0.3, 0.85, 1.0)
    found = remove(subject, images, LABELS, maps, fractions=fractions)
    for i, image in enumerate(images.numpy()):
        scores = maps[i].numpy().ravel()
        assert len(np.unique(scores)) == 120
        for order, places in ((0, np.argsort(-scores)), (2, np.argsort(scores))):
            for step, count in enumerate((0, 36, 102, 120)):
                hole = np.zeros(120, np.bool_)
                hole[places[:count]] = True
                for fill in range(2):
                    filled = image.copy()
                    for channel in range(2):
                        values = np.full(120, image[channel, 0, 0], np.float64)
                        if fill == 1 and count == 120:
                            values[:] = image[channel].mean()
                        elif fill == 1:
                            values = dense(image[channel], hole.reshape(12, 10)).ravel()
                        if fill == 1:
                            values = (values + 255 * noise[i, channel].ravel()).clip(0, 255)
                        filled[channel].reshape(-1)[hole] = np.rint(values[hole])
                    with torch.no_grad():
                        probability = subject.model(torch.from_numpy(filled)[None]).softmax(1)[0]
                    assert found.right[fill, order, step, i] == (int(probability.argmax()) == int(LABELS[i]))
                    assert abs(found.probability[fill, order, step, i] - float(probability[LABELS[i]])) < 1e-5


def test_the_one_pixel_that_matters_gives_the_gaps_of_a_calculation_by_hand() -> None:
    n = 300
    subject = TorchSubject(Spot(), name="spot", image_shape=(2, 10, 10))
    maps = torch.zeros(n, 10, 10)
    maps[:, 4, 4] = 1.0
    found = remove(subject, spots(n), torch.ones(n, dtype=torch.int64), maps)
    on, off = 1 / (1 + np.exp(0.5 - 1.0)), 1 / (1 + np.exp(0.5))
    constant = found.probability[FILLS.index("constant")]
    assert np.allclose(constant[ORDERS.index("most")], np.array([on] + [off] * 10)[:, None])
    assert np.allclose(constant[ORDERS.index("least")], np.array([on] * 10 + [off])[:, None])

    gaps = found.gaps()
    lost = (constant[ORDERS.index("random")] > (on + off) / 2).sum(0)  # steps before the pixel goes, 1..10
    by_chance = (lost - 0.5) / 10
    assert np.allclose(gaps["deletion_constant"], (on - off) * (by_chance - 0.05), atol=1e-6)
    assert np.allclose(gaps["insertion_constant"], (on - off) * (0.95 - by_chance), atol=1e-6)
    assert abs(by_chance.mean() - 0.5) < 0.06
    assert gaps["deletion_linear"].mean() > 0.3 * (on - off)

    road = found.road()
    assert np.array_equal(road["road_morf"], np.zeros(n))
    assert np.array_equal(road["road_lerf"], np.ones(n))
    assert np.array_equal(road["road_gap"], np.ones(n))

    curves = found.curves()
    assert curves["accuracy linear most"] == (1.0, *[0.0] * 10)
    assert curves["accuracy constant least"] == (*[1.0] * 10, 0.0)
    assert np.allclose(curves["probability constant most"], [on] + [off] * 10)
    assert len(curves) == 12


def test_the_opposite_map_has_the_opposite_gap() -> None:
    subject = TorchSubject(Spot(), name="spot", image_shape=(2, 10, 10))
    maps = torch.ones(20, 10, 10)
    maps[:, 4, 4] = 0.0
    found = remove(subject, spots(20), torch.ones(20, dtype=torch.int64), maps)
    assert np.array_equal(found.road()["road_gap"], -np.ones(20))
    assert found.gaps()["deletion_constant"].mean() < 0 > found.gaps()["insertion_constant"].mean()


def removed_by(seen: Tensor, images: Tensor) -> Tensor:
    """Where the images of one fraction, constant fill, are black: (order, n, h, w)."""
    return seen.unflatten(0, (2, -1, len(images)))[0].eq(0).all(2)


def test_whole_pixels_go_exactly_so_many_and_ties_by_chance() -> None:
    """White images whose corner is black: what has become black is gone."""
    n = 40
    images = torch.full((n, 2, 8, 8), 255, dtype=torch.uint8)
    images[:, :, 0, 0] = 0
    subject = Recorder((2, 8, 8))
    maps = torch.zeros(n, 8, 8)
    maps[:, 0, 0] = -1.0
    remove(subject, images, torch.zeros(n, dtype=torch.int64), maps)
    assert len(subject.seen) == 11
    for fraction, seen in zip(FRACTIONS[1:-1], subject.seen[1:-1], strict=True):
        gone = removed_by(seen, images)
        gone[:, :, 0, 0] = False  # black from the start
        count = round(fraction * 64)
        assert (gone[0].sum((1, 2)) == count).all()
        assert (gone[2].sum((1, 2)) == count - 1).all()
    most, random, least = removed_by(subject.seen[5], images)
    for order in (most, random, least):
        share = order.double().mean(0).flatten()[1:]
        assert (share - 0.5).abs().max() < 0.35, "a pixel whose place decides"
        assert len({tuple(row) for row in order.flatten(1).tolist()}) == n
    half = subject.seen[5].unflatten(0, (2, 3, n))[0]
    assert torch.equal(half.eq(0).any(2), half.eq(0).all(2))


def test_most_and_least_share_the_pixels_between_them() -> None:
    images = torch.full((5, 1, 10, 10), 255, dtype=torch.uint8)
    images[:, :, 0, 0] = 0
    subject = Recorder((1, 10, 10))
    remove(subject, images, torch.zeros(5, dtype=torch.int64), torch.zeros(5, 10, 10))
    few, many = removed_by(subject.seen[3], images), removed_by(subject.seen[7], images)
    together = few[0].int() + many[2].int()
    together[:, 0, 0] = 1
    assert (together == 1).all()


def test_the_random_order_is_that_of_the_seed_whatever_the_map(images) -> None:
    one, two, other = (Recorder(SHAPE) for _ in range(3))
    labels = torch.zeros(6, dtype=torch.int64)
    maps = torch.rand(2, 6, 12, 10, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    remove(one, images, labels, maps[0], seed=3)
    remove(two, images, labels, maps[1], seed=3)
    remove(other, images, labels, maps[0], seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    for step, (a, b, c) in enumerate(zip(one.seen, two.seen, other.seen, strict=True)):
        random = [seen.unflatten(0, (2, -1, 6))[:, 1 if 0 < step < 10 else 0] for seen in (a, b, c)]
        assert torch.equal(random[0], random[1])
        assert torch.equal(random[0], random[2]) == (step == 0)
        assert a.dtype == torch.uint8
        if 0 < step < 10:
            assert not torch.equal(a, b)


def test_linear_imputation_has_the_noise_of_the_paper() -> None:
    """On a grey image the noise is all there is, the same in every order."""
    images = torch.full((8, 3, 10, 10), 100, dtype=torch.uint8)
    subject = Recorder((3, 10, 10))
    remove(subject, images, torch.zeros(8, dtype=torch.int64), torch.rand(8, 10, 10))
    all_gone = subject.seen[-1].unflatten(0, (2, 1, 8))
    assert (all_gone[0] == 100).all()
    assert 2.4 < all_gone[1].double().std() < 2.7
    linear = subject.seen[5].unflatten(0, (2, 3, 8))[1]
    gone = linear != 100
    both = gone[0] & gone[2]
    assert torch.equal(linear[0][both], linear[2][both])
    assert torch.equal(linear[1][gone[1]], all_gone[1, 0][gone[1]])


@pytest.mark.parametrize("plan", [None, "w2a2"])
def test_neither_the_batch_nor_the_piece_nor_the_other_images_matter(make, images, plan, monkeypatch) -> None:
    many, labels = images.repeat(4, 1, 1, 1), LABELS.repeat(4)
    model = make(plan=plan).eval()
    subject = TorchSubject(model, name="net", image_shape=SHAPE)
    maps = subject.saliency(many, labels)
    first = remove(subject, many, labels, maps, seed=1)
    for found, where in (
        (remove(TorchSubject(model, name="net", image_shape=SHAPE, batch=7), many, labels, maps, seed=1), 24),
        (remove(subject, many[:9], labels[:9], maps[:9], seed=1), 9),
    ):
        assert np.array_equal(found.right, first.right[..., :where])
        assert np.allclose(found.probability, first.probability[..., :where], atol=1e-5)
    monkeypatch.setattr(module, "_IMAGES", 5)
    done: list[int] = []
    pieces = remove(subject, many, labels, maps, seed=1, progress=done.append)
    assert done == [5, 5, 5, 5, 4]
    assert np.array_equal(pieces.right, first.right)
    assert not np.array_equal(remove(subject, many, labels, maps, seed=2).probability, first.probability)


def test_never_are_all_perturbed_images_held_at_once() -> None:
    images = torch.zeros(100, 1, 6, 6, dtype=torch.uint8)
    subject = Recorder((1, 6, 6))
    remove(subject, images, torch.zeros(100, dtype=torch.int64), torch.zeros(100, 6, 6))
    assert max(len(seen) for seen in subject.seen) == 240


def test_an_artifact_and_its_torch_twin_are_right_about_the_same_images(make, images, tmp_path) -> None:
    deployed = Deployed(make(plan="w4a4").eval(), images)
    lower(deployed).save(tmp_path / "model.glassbit")
    twin = TorchSubject(deployed, name="twin", image_shape=SHAPE)
    maps = twin.saliency(images, LABELS)
    wanted = remove(twin, images, LABELS, maps)
    found = remove(ArtifactSubject(tmp_path / "model.glassbit", name="file"), images, LABELS, maps)
    assert np.array_equal(found.right, wanted.right)
    assert np.array_equal(found.probability, wanted.probability)
    assert 0 < wanted.right.mean() < 1


def test_everything_removed_or_nothing_is_the_same_in_every_order(make, images) -> None:
    subject = TorchSubject(make(), name="net", image_shape=SHAPE)
    found = remove(subject, images, LABELS, subject.saliency(images, LABELS))
    assert found.right.shape == found.probability.shape == (2, 3, 11, 6)
    for step in (0, 10):
        assert (found.probability[:, :, step] == found.probability[:, :1, step]).all()
    assert (found.probability[0, :, 0] == found.probability[1, :, 0]).all()
    clean = subject.logits(images)
    assert np.array_equal(found.right[0, 0, 0], (clean.argmax(1) == LABELS).numpy())
    assert np.allclose(found.probability[0, 0, 0], clean.softmax(1).gather(1, LABELS[:, None])[:, 0])


def test_the_fractions_are_those_of_the_paper(make, images) -> None:
    assert tuple(i / 10 for i in range(11)) == FRACTIONS
    assert ROAD_FRACTIONS == (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)
    subject = TorchSubject(make(), name="net", image_shape=SHAPE)
    maps = subject.saliency(images, LABELS)
    found = remove(subject, images, LABELS, maps)
    steps = [1, 2, 3, 4, 5, 7, 9]
    assert np.allclose(found.road()["road_morf"], [found.right[1, 0, steps, i].sum() / 7 for i in range(6)])
    assert np.allclose(found.road()["road_lerf"], [found.right[1, 2, steps, i].sum() / 7 for i in range(6)])
    coarse = remove(subject, images, LABELS, maps, fractions=(0.0, 0.5, 1.0))
    assert np.allclose(
        coarse.gaps()["deletion_linear"],
        (coarse.probability[1, 1] - coarse.probability[1, 0]).T @ np.array([0.25, 0.5, 0.25]),
    )
    with pytest.raises(UsageError, match=r"road: fractions must include .* 0\.7, 0\.9; got none of 0\.1, .*; leave"):
        coarse.road()


def test_a_network_that_has_diverged_still_gets_an_answer(make, images) -> None:
    model = make()
    nn.init.constant_(model.network[7].weight, float("nan"))
    subject = TorchSubject(model, name="net", image_shape=SHAPE)
    found = remove(subject, images, LABELS, subject.saliency(images, LABELS))
    assert np.isfinite(found.road()["road_gap"]).all()
    assert np.isnan(found.gaps()["deletion_linear"]).all()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"labels": LABELS[:5], "maps": torch.zeros(5, 12, 10)},
            r"labels must be 6 class numbers 0\.\.2 as integers, one per image; got the shape \(5,\)",
        ),
        ({"labels": LABELS + 1}, "labels must be 6 class numbers .*; got 3"),
        ({"labels": LABELS - 1}, "labels must be 6 class numbers .*; got -1"),
        ({"maps": torch.zeros(6, 10, 12)}, r"maps must be \(6, 12, 10\), one per image; got \(6, 10, 12\)"),
        ({"fractions": (0.0, 0.5)}, r"fractions must rise from 0 to 1; got \(0\.0, 0\.5\)"),
        ({"fractions": (0.0, 0.5, 0.5, 1.0)}, "fractions must rise from 0 to 1"),
        ({"fractions": ()}, "fractions must rise from 0 to 1"),
    ],
)
def test_bad_arguments_are_named(make, images, change, text) -> None:
    arguments = {"labels": LABELS, "maps": torch.zeros(6, 12, 10), **change}
    subject = TorchSubject(make(), name="net", image_shape=SHAPE)
    with pytest.raises(UsageError, match=text):
        module._check(subject, images, **{"fractions": FRACTIONS, **arguments})


def test_no_images_are_refused(make, images) -> None:
    subject = TorchSubject(make(), name="net", image_shape=SHAPE)
    with pytest.raises(UsageError, match=r"remove: images must be .*; got none"):
        remove(subject, images[:0], LABELS[:0], torch.zeros(0, 12, 10))
