"""All measurements of one network in one call."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from glassbit._errors import GlassbitWarning, UsageError
from glassbit.datasets import OBJECT, SHORTCUT, Dataset, Split
from glassbit.evidence import METRICS
from glassbit.measure import ArtifactSubject, TorchSubject, draw, measure, relevance_mass, remove

from .mlp import SHAPE, artifact, mlp, pictures

CLASSES = ("a", "b", "c")


def data(n: int = 60, *, regions: torch.Tensor | None = None) -> Dataset:
    split = Split(pictures(n), torch.arange(n) % 3)
    return Dataset("squares", split, split, CLASSES, regions)


def subject(bits: int | None = None) -> TorchSubject:
    return TorchSubject(mlp(bits), name="net", image_shape=SHAPE)


def test_everything_is_measured_and_what_is_not_has_its_reason() -> None:
    found = measure(subject(4), data(), images=20, seed=3, facts={"plan": "w4a4"})
    measured = set(found.values)
    assert measured | set(found.absent) == {metric.key for metric in METRICS}
    assert set(found.absent) == {"object_mass", "object_pointing", "shortcut_mass", "shortcut_pointing"}
    assert all(value.shape == (20,) and value.dtype == np.float32 for value in found.values.values())
    assert (found.name, found.seed, found.facts["plan"], found.facts["data"]) == ("net", 3, "w4a4", "squares")
    assert found.randomisation
    assert len(found.correct) == 60


def test_values_are_those_of_the_single_functions() -> None:
    network, source = subject(), data()
    found = measure(network, source, images=20)
    chosen = draw(source, 20)
    maps = network.saliency(chosen.pixels, chosen.labels)
    road = remove(network, chosen.pixels, chosen.labels, maps).road()["road_gap"]
    np.testing.assert_allclose(found.values["road_gap"], road, rtol=1e-6)
    assert np.array_equal(found.rows, chosen.rows)
    assert np.array_equal(found.predictions, network.logits(chosen.pixels).argmax(1))
    np.testing.assert_allclose(found.maps.max((1, 2)), 1.0)
    np.testing.assert_allclose(found.maps, maps / maps.amax((1, 2), keepdim=True), atol=1e-3)


def test_known_regions_are_used() -> None:
    regions = torch.zeros(60, *SHAPE[1:], dtype=torch.uint8)
    regions[:, :2] = OBJECT
    source, network = data(regions=regions), subject()
    found = measure(network, source, images=20)
    chosen = draw(source, 20)
    maps = network.saliency(chosen.pixels, chosen.labels).numpy()
    wanted = relevance_mass(maps, (regions[chosen.rows] == OBJECT).numpy())
    np.testing.assert_allclose(found.values["object_mass"], wanted, rtol=1e-6)
    assert found.facts["region_shares"] == {"object": pytest.approx(2 / SHAPE[1])}
    assert "shortcut_mass" in found.absent
    regions[:, -1] = SHORTCUT
    assert "shortcut_mass" in measure(network, source, images=20).values


def test_a_file_is_measured_but_for_what_needs_gradients(tmp_path) -> None:
    file = artifact(tmp_path)
    assert isinstance(file, ArtifactSubject)
    found = measure(file, data(), images=20)
    assert "infidelity" not in found.values
    assert "got a file" in found.absent["infidelity"]
    assert "got a file" in found.absent["randomisation"]
    assert not found.randomisation
    assert {"road_gap", "max_sensitivity_002", "gini"} <= set(found.values)


def test_the_draw_is_fixed_and_covers_a_small_test_set_whole() -> None:
    source = data()
    assert np.array_equal(draw(source, 20).rows, draw(source, 20).rows)
    assert set(draw(source, 10).rows) < set(draw(source, 20).rows)
    assert np.array_equal(draw(source, 1000).rows, np.arange(60))
    assert draw(source, 20).digest != draw(source, 10).digest
    with pytest.raises(UsageError, match="draw: count must be a whole number of at least 1; got 0"):
        draw(source, 0)


def test_a_network_for_other_images_is_refused() -> None:
    other = Dataset("big", *[Split(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.arange(4) % 3)] * 2, CLASSES)
    with pytest.raises(
        UsageError, match="net: must fit big, which has 3 classes of images 3 x 8 x 8; got a network that takes 3"
    ):
        measure(subject(), other)


def test_classes_are_matched_by_name() -> None:
    """The same images under the same names, which the data set numbers in another way."""
    source = data()
    order = torch.tensor([2, 0, 1])  # label 0 of `source` is label 2 here
    split = Split(source.test.images, order[source.test.labels])
    other = Dataset("squares", split, split, tuple(CLASSES[i] for i in order.argsort()))
    network = TorchSubject(mlp(), name="net", image_shape=SHAPE, class_names=CLASSES)
    same = measure(network, source, images=20)
    with pytest.warns(GlassbitWarning, match="net has the classes of squares in another order"):
        found = measure(network, other, images=20)
    assert found.classes == other.classes
    assert np.array_equal(found.labels, order[same.labels])
    assert np.array_equal(found.predictions, order[same.predictions])
    assert np.array_equal(found.correct, same.correct)
    assert np.array_equal(found.maps, same.maps)
    for key, value in same.values.items():
        np.testing.assert_array_equal(found.values[key], value)
    assert found.randomisation == same.randomisation
    with pytest.raises(UsageError, match="its classes must be those of squares"):
        measure(TorchSubject(mlp(), name="net", image_shape=SHAPE, class_names=("a", "b", "x")), source)
    with pytest.raises(UsageError, match="class_names must be 3, one for each logit; got 2"):
        TorchSubject(mlp(), name="net", image_shape=SHAPE, class_names=("a", "b"))
