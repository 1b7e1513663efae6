from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from measurements import PLAIN, comparison, measurement
from pages import checked_page

from glassbit.report import write_comparison, write_measurement

ODD = "<b>mine</b> | x\n# y"


def test_the_page_of_one_network(tmp_path):
    facts = {"region_shares": {"object": 0.3, "shortcut": 0.01}, "versions": {"torch": "2.13"}}
    keys = tuple(key for key in (*PLAIN, "object_mass", "shortcut_mass") if key != "infidelity")
    absent = {"infidelity": "an artifact has no signed gradient", "randomisation": "an artifact has no weights to draw"}
    taken = measurement("net", keys=keys, absent=absent, facts=facts)
    paths = write_measurement(tmp_path, taken)
    assert paths == (tmp_path / "transparency.md", tmp_path / "transparency.html")
    _, text = checked_page(paths[1])
    for written in (text, paths[0].read_text(encoding="utf-8")):
        for phrase in (
            "relevant costs more accuracy than removing what they call least relevant: ROAD gap 0.1",
            "Looks at the object less than chance (30.0 % of the pixels): this network",
            "Looks at the planted shortcut (1.0 % of the pixels): this network",
            "say nothing about another training",
            "ROAD gap ↑",
            "infidelity: an artifact has no signed gradient",
            "randomised weights: an artifact has no weights to draw",
            "The largest relative change of the map under uniform noise of up to 0.02",
            "4.fc",
            "Ankle boot",
            "torch 2.13",
        ):
            assert phrase in written
    assert "As pixels are removed" in text
    assert "filled in from the neighbours" in paths[1].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("shift", "said"),
    [
        (-0.15, "Cannot tell whether the maps name pixels that matter: ROAD gap"),
        (-0.4, "The maps mislead. Removing what"),
    ],
)
def test_maps_that_name_nothing_or_the_wrong_pixels(tmp_path, shift, said):
    text = write_measurement(tmp_path, measurement(shift={"road_gap": shift}))[0].read_text(encoding="utf-8")
    assert f"- {said}" in text


def test_a_network_of_which_little_is_known(tmp_path):
    taken = measurement(keys=("gini",), seed=None)
    undefined = np.full(60, np.nan, np.float32)
    taken = replace(taken, values={"gini": undefined}, curves={}, randomisation=(("a", float("nan")),), facts={})
    paths = write_measurement(tmp_path, taken)
    _, text = checked_page(paths[1])
    assert "As pixels are removed" not in text
    assert "| Gini index | – |" in paths[0].read_text(encoding="utf-8")
    assert "nan" not in paths[0].read_text(encoding="utf-8").replace("meaning", "")


def test_the_page_of_two_networks(tmp_path):
    a = measurement("first", side=12)
    b = measurement("second", side=12, shift={"road_gap": -0.05}, absent={"object_mass": "the data set does not say"})
    paths = write_comparison(tmp_path, comparison(a, b))
    assert paths == (tmp_path / "compare.md", tmp_path / "compare.html")
    page, text = checked_page(paths[1])
    for written in (text, paths[0].read_text(encoding="utf-8")):
        for phrase in (
            "The ROAD gap of B is lower than that of A by 0.0",
            "Their maps agree at Spearman 0.400 [0.3",
            "with another seed of itself 0.300 [0.2",
            "of the way from shuffled to the ceiling",
            "They predict the same class on",
            "ceiling: A with itself under a little input noise",
            "mass on the object: the data set does not say",
            "cannot tell",
            "worse",
        ):
            assert phrase in written
    assert page.count("<img") == 3 * 3
    assert "first" in text
    assert "second" in text


def test_wrong_predictions_are_marked(tmp_path):
    a, b = measurement("a"), measurement("b")
    both = comparison(a, b, shown=1)
    (place,) = both.shown
    predictions = both.predictions.copy()
    predictions[:, place] = (both.labels[place], (both.labels[place] + 1) % 10)
    page, text = checked_page(write_comparison(tmp_path, replace(both, predictions=predictions))[1])
    truth, wrong = both.classes[both.labels[place]], both.classes[(both.labels[place] + 1) % 10]
    assert f"A: ✓ {truth}" in text
    assert f"B: ✗ {wrong}" in text
    assert page.count('class="wrong"') == 1


def test_without_another_seed_or_the_images(tmp_path):
    both = comparison(measurement("a"), measurement("b"), floor=False, images=False)
    maps = both.maps.copy()
    maps[0, 0, 0, 0] = np.inf
    page, text = checked_page(write_comparison(tmp_path, replace(both, maps=maps))[1])
    assert "No other seed was given, so how far two trainings differ is not known." in text
    assert "floor" not in text
    assert page.count("<img") == 3 * 2


def test_an_unsteady_reference_gives_no_share(tmp_path):
    both = comparison(measurement("a"), measurement("b"))
    unsteady = {**both.agreement, "ceiling": both.agreement["zero"]}
    paths = write_comparison(tmp_path, replace(both, agreement=unsteady))
    assert "too unsteady to compare" in paths[0].read_text(encoding="utf-8")
    checked_page(paths[1])


def test_names_are_escaped(tmp_path):
    odd = measurement(ODD, classes=("<i>", "b|c"), facts={"<u>": ["<s>"]}, absent={"object_mass": "<em>"})
    for paths in (write_measurement(tmp_path, odd), write_comparison(tmp_path, comparison(odd, odd))):
        page, _ = checked_page(paths[1])
        for tag in ("<b>mine", "<i>", "<u>", "<s>", "<em>"):
            assert tag not in page
        assert "&lt;b&gt;mine&lt;/b&gt;" in page
        markdown = paths[0].read_text(encoding="utf-8")
        assert "\n# y" not in markdown
        assert "b\\|c" in markdown


def test_the_same_bytes_again(tmp_path):
    both = comparison(measurement("a"), measurement("b"))
    for write, value in ((write_measurement, measurement("a")), (write_comparison, both)):
        before = [path.read_bytes() for path in write(tmp_path, value)]
        assert [path.read_bytes() for path in write(tmp_path, value)] == before
