from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from glassbit import models
from glassbit._errors import UsageError
from glassbit.datasets import OBJECT, SHORTCUT, Dataset, Split, load
from glassbit.datasets._clutter import _background, _bits, _filled, _marks, clutter
from glassbit.datasets._official import Arrays
from glassbit.deploy import Deployed, lower
from glassbit.quant import Plan, calibrate_, quantize_

COUNT = 80
SIDE, BASE = 64, 32


@pytest.fixture(scope="module")
def garments() -> Arrays:
    test = load("fashion-mini").test
    return Arrays(test.images[:COUNT].numpy(), test.labels[:COUNT].numpy())


@pytest.fixture(scope="module")
def made(garments: Arrays) -> dict[str, tuple[Arrays, Arrays]]:
    return {
        "none": clutter(garments, garments, marks="none"),
        "own": clutter(garments, garments, marks="own"),
        "shuffled": clutter(garments, garments, marks="shuffled"),
    }


def silhouette(garment: np.ndarray) -> np.ndarray:
    """Pixel by pixel: part of the garment, or between parts of it both across and along."""
    mask = garment > 8
    found = np.zeros_like(mask)
    for y in range(28):
        for x in range(28):
            between = [mask[y, : x + 1], mask[y, x:], mask[: y + 1, x], mask[y:, x]]
            found[y, x] = all(part.any() for part in between)
    return found


def places(picture: np.ndarray, garment: np.ndarray, inside: np.ndarray) -> list[tuple[int, int]]:
    """Every place at which the picture shows the garment."""
    return [
        (y, x)
        for y in range(SIDE - 27)
        for x in range(SIDE - 27)
        if np.array_equal(picture[y : y + 28, x : x + 28][inside], garment[inside])
    ]


def grown(pixels: list[tuple[int, int]]) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    for y, x in pixels:
        mask[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = True
    return mask


def test_the_garment_is_where_the_regions_say(garments: Arrays, made: dict[str, tuple[Arrays, Arrays]]) -> None:
    test = made["own"][1]
    assert test.regions is not None
    found = set()
    for garment, picture, regions in zip(garments.images[:40, 0], test.images[:40, 0], test.regions[:40], strict=True):
        inside = silhouette(garment)
        ((top, left),) = places(picture, garment, inside)
        found.add((top, left))
        pixels = [(top + int(y), left + int(x)) for y, x in np.argwhere(inside)]
        assert np.array_equal(regions == OBJECT, grown(pixels))
    assert len(found) > 30


def test_the_mark_of_the_class_is_away_from_the_garment(
    garments: Arrays, made: dict[str, tuple[Arrays, Arrays]]
) -> None:
    plain, marked = made["none"][1], made["own"][1]
    assert plain.regions is not None
    assert marked.regions is not None
    assert np.array_equal(plain.regions == OBJECT, marked.regions == OBJECT)
    assert not (plain.regions == SHORTCUT).any()
    for label, before, after, regions in zip(
        garments.labels, plain.images[:, 0], marked.images[:, 0], marked.regions, strict=True
    ):
        changed = np.argwhere(before != after)
        (y, x), sign = np.argwhere(regions == SHORTCUT).min(0), _marks()[label]
        top, left = next(
            (row, column)
            for row in (y, y + 1)
            for column in (x, x + 1)
            if np.array_equal(after[row : row + 5, column : column + 5], sign)
        )
        square = [(top + row, left + column) for row in range(5) for column in range(5)]
        assert set(map(tuple, changed.tolist())) <= set(square)
        assert np.array_equal(regions == SHORTCUT, grown(square))


def test_marks_differ() -> None:
    marks = _marks().reshape(10, -1)
    assert set(np.unique(marks)) == {0, 255}
    assert min((a != b).sum() for i, a in enumerate(marks) for b in marks[:i]) == 7


def test_training_pictures_carry_their_own_marks(garments: Arrays, made: dict[str, tuple[Arrays, Arrays]]) -> None:
    assert all(train.regions is None for train, _ in made.values())
    assert np.array_equal(made["own"][0].images, made["shuffled"][0].images)
    windows = np.lib.stride_tricks.sliding_window_view(made["own"][0].images[:, 0], (5, 5), (1, 2))
    shown = (windows[:, :, :, None] == _marks()).all((-2, -1)).any((1, 2))
    assert shown[np.arange(COUNT), garments.labels].all()
    assert shown.sum() == COUNT


def test_shuffled_marks_say_nothing(garments: Arrays, made: dict[str, tuple[Arrays, Arrays]]) -> None:
    own, shuffled = made["own"][1], made["shuffled"][1]
    assert own.regions is not None
    assert np.array_equal(own.regions, shuffled.regions)
    assert np.array_equal(own.labels, shuffled.labels)
    outside = own.regions != SHORTCUT
    assert np.array_equal(own.images[:, 0][outside], shuffled.images[:, 0][outside])
    kept = (own.images == shuffled.images).all((1, 2, 3)).mean()
    assert 0.02 < kept < 0.25  # one in ten classes is the right one


def test_the_background_is_made_of_other_garments() -> None:
    levels = np.array([20, 60, 100, 140, 180, 220], np.uint8)
    pictures = np.repeat(levels, 100)[:, None, None] * np.ones((28, 28), np.uint8)
    canvas = _background(pictures, _bits("of the test"))
    dimmed = {level: round(float(level) * 0.4) for level in levels}
    assert set(np.unique(canvas)) == {BASE, *dimmed.values()}
    base = (canvas == BASE).mean(0)
    assert base.mean() == pytest.approx((1 - 64 / 71**2) ** 71, abs=0.01)
    assert base[0].mean() == pytest.approx(base.mean(), abs=0.03)  # the border is as full as the middle
    two = _background(pictures[[0, 599]], _bits("of the test"))
    assert set(np.unique(two[0])) == {BASE, dimmed[220]}
    assert set(np.unique(two[1])) == {BASE, dimmed[20]}


def test_silhouettes_are_filled() -> None:
    ring = np.zeros((1, 6, 6), bool)
    ring[0, 1:5, 1:5] = True
    ring[0, 2:4, 2:4] = False
    cup = ring.copy()
    cup[0, 1, 2:4] = False
    assert _filled(ring)[0, 1:5, 1:5].all()
    assert _filled(ring).sum() == 16
    assert np.array_equal(_filled(cup), cup)


def test_a_network_on_them_has_an_integer_form(made: dict[str, tuple[Arrays, Arrays]]) -> None:
    torch.manual_seed(0)
    model = models.Classifier(models.cnn_bn(width=4), mean=(0.25,), std=(0.2,))
    quantize_(model.network, Plan.named("w4a4"))
    images = torch.from_numpy(made["own"][1].images[:12])
    calibrate_(model, images.float() / 255)
    deployed = Deployed(model, images).eval()
    logits = lower(deployed).run(images.numpy())
    assert np.array_equal(deployed(images).detach().numpy(), logits)
    assert len(np.unique(logits)) > len(images)


DIGESTS = {
    "clutter": "789bf8dcbb716a6accbaaf8c36573263557f2763ccb7900fa0dea28cecd3c07c",
    "clutter-shortcut": "2c3d50ab6b52466851fc3c170f7f38ba8c4ebd0de4c2790b668d9c9fd84987e1",
    "clutter-shuffled": "828cbb70534de1949d645412242052869cd0ef46e38e7c139dbd56afadea955d",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_every_pixel_is_the_same_everywhere(name: str) -> None:
    data, mini = load(name, download=False), load("fashion-mini")
    assert data.name == name
    assert data.classes == mini.classes
    assert data.train.images.shape == (6000, 1, SIDE, SIDE)
    assert data.test.images.shape == (1000, 1, SIDE, SIDE)
    assert data.train.labels.equal(mini.train.labels)
    assert data.test.labels.equal(mini.test.labels)
    assert data.regions is not None
    digest = hashlib.sha256()
    for tensor in (data.train.images, data.test.images, data.regions):
        digest.update(tensor.numpy().tobytes())
    assert digest.hexdigest() == DIGESTS[name]


def test_regions_fit_the_test_images() -> None:
    split = Split(torch.zeros(2, 3, 6, 6, dtype=torch.uint8), torch.tensor([0, 1]))
    assert Dataset("x", split, split, ("a", "b"), torch.zeros(2, 6, 6, dtype=torch.uint8)).regions is not None
    text = r"regions must be uint8 \(2, 6, 6\), one for each pixel of the test images; got torch.uint8 \(2, 5, 6\)"
    with pytest.raises(UsageError, match=text):
        Dataset("x", split, split, ("a", "b"), torch.zeros(2, 5, 6, dtype=torch.uint8))
