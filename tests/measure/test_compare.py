"""From two measurements to one comparison."""

from __future__ import annotations

import numpy as np
import pytest
from invented import COUNT, SIZE, invented

from glassbit._errors import UsageError
from glassbit.evidence import METRICS
from glassbit.measure import agreement, compare, random_maps


def test_the_anchors_are_the_reference_with_noise_with_another_seed_and_shuffled():
    a, b, other = invented(), invented(name="int4", seed=1), invented(seed=2)
    found = compare(a, b, floor=other)
    for pair, maps in {
        "between": b.maps,
        "ceiling": a.noisy_maps,
        "floor": other.maps,
        "zero": random_maps(a.maps),
    }.items():
        expected = agreement(a.maps, maps)
        for measure in ("spearman", "ssim", "iou"):
            assert np.array_equal(getattr(found.agreement[pair], measure), getattr(expected, measure))
    assert "floor" not in compare(a, b).agreement


def test_values_are_stacked_for_the_metrics_that_both_have():
    a, b = invented(), invented(name="artifact", seed=1)
    lacking = {key: value for key, value in b.values.items() if key != "infidelity"}
    b = invented(name="artifact", seed=1, values=lacking, absent={"infidelity": "a file has no gradients"})
    found = compare(a, b)
    assert list(found.values) == [
        metric.key for metric in METRICS if metric.group != "ground truth" and metric.key != "infidelity"
    ]
    assert np.array_equal(found.values["gini"], [a.values["gini"], b.values["gini"]])
    assert found.absent["infidelity"] == "artifact: a file has no gradients"
    assert found.absent["object_mass"] == "reference: the data set does not say where the object is"
    assert np.array_equal(found.correct, [a.correct, b.correct])
    assert np.array_equal(found.predictions, [a.predictions, b.predictions])


def test_the_most_different_images_come_first_and_equal_ones_by_index():
    a = invented()
    maps = a.maps.copy()
    maps[7] = -a.maps[7] + a.maps[7].max()
    maps[5:7] = random_maps(a.maps[5:7])
    maps[20] = 1.0
    b = invented(maps=maps)
    images = np.arange(COUNT, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, *SIZE), np.uint8)
    found = compare(a, b, images=images)
    assert found.shown[0] == 7
    assert set(found.shown[1:3].tolist()) == {5, 6}
    assert found.shown[3:].tolist() == [0, 1, 2, 3, 4, 8, 9, 10, 11]
    assert np.array_equal(found.different, a.rows[found.shown])
    assert np.array_equal(found.maps, [a.maps[found.shown], b.maps[found.shown]])
    assert np.array_equal(found.images, images[found.shown])
    assert compare(a, b).images is None


def test_a_network_whose_maps_are_undefined_everywhere_still_compares():
    a, b = invented(), invented(maps=np.ones((COUNT, *SIZE), np.float16))
    found = compare(a, b)
    assert np.isnan(found.agreement["between"].spearman).all()
    assert found.shown.tolist() == list(range(12))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"facts": {"data": "mnist", "images_digest": "abc"}}, "different data sets; measure both again"),
        ({"facts": {"data": "invented", "images_digest": "xyz"}}, "different pixels; measure"),
        ({"classes": ("a", "b", "c")}, "different classes; measure"),
        ({"rows": np.arange(COUNT)}, "different test images; measure"),
        ({"labels": np.zeros(COUNT, np.int64)}, "different labels; measure"),
        ({"correct": np.ones(3, bool)}, "different sizes of the test set; measure"),
        ({"fractions": (0.0, 1.0)}, "different shares of removed pixels; measure"),
    ],
)
def test_measurements_of_other_images_are_refused(changes, text):
    a, b = invented(), invented(name="int4", **changes)
    with pytest.raises(UsageError, match=f"reference and int4 must be measured on the same images .*{text}"):
        compare(a, b)
    with pytest.raises(UsageError, match="reference and int4 must"):
        compare(a, invented(), floor=b)


def test_every_difference_is_named_at_once():
    with pytest.raises(UsageError, match="different test images, labels; measure"):
        compare(invented(), invented(rows=np.arange(COUNT), labels=np.zeros(COUNT, np.int64)))


def test_fewer_images_are_refused():
    with pytest.raises(UsageError, match="different test images, labels, sizes of the images"):
        compare(invented(), invented(n=10))


@pytest.mark.parametrize("shape", [(COUNT - 1, 1, *SIZE), (COUNT, 1, 8, 9)])
def test_pictures_of_other_images_are_refused(shape):
    with pytest.raises(UsageError, match=r"images must be the 40 that were measured, 9 x 8 pixels each; got shape \("):
        compare(invented(), invented(), images=np.zeros(shape, np.uint8))
