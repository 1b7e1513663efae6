from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import matplotlib as mpl

from glassbit.report.draw._svg import COLOURS, Chart, Panel, Style, file_svg, panel_svg, stroke, swatch
from glassbit.report.numbers import numbers
from glassbit.report.pages._page import section
from glassbit.report.read import read_study


def draw(axes):
    stroke(axes, [0.0, 1.0, 2.0], [3.0, 1.0, 2.0], Style("pact", "dashed", "D"))


CHART = Chart("name", "Title", (Panel("a & b", "x", "y", draw), Panel("c", "x", "y", draw)), (("pact", Style("pact")),))


def test_the_file_is_an_svg_document_with_concrete_colours():
    text = file_svg(CHART)
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert COLOURS["pact"] in text
    assert "var(" not in text
    assert "<dc:date" not in text


def test_the_same_chart_gives_the_same_bytes_whatever_the_user_has_set():
    before = file_svg(CHART)
    with mpl.rc_context({"font.size": 30, "axes.grid": False, "svg.fonttype": "path", "lines.linewidth": 9}):
        settings = dict(mpl.rcParams)
        assert file_svg(CHART) == before
        assert dict(mpl.rcParams) == settings


def test_the_inlined_panel_takes_its_colours_from_the_page():
    text = panel_svg(CHART, 0)
    root = ET.fromstring(text)
    assert root.tag == "svg"
    assert root.attrib["aria-label"] == "Title: a & b"
    assert "var(--pact)" in text
    assert "var(--ink)" in text
    assert not re.search(r"#[0-9a-fA-F]{6}\b", text)
    assert "http" not in text
    assert "font-family" not in text
    assert not root.findall(".//style") + root.findall(".//metadata")


def test_inlined_ids_are_unique_to_the_panel_and_all_referred_to():
    first, second = panel_svg(CHART, 0), panel_svg(CHART, 1)
    ids = set(re.findall(r' id="([^"]+)"', first))
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', first))
    assert ids == {name for pair in used for name in pair if name}
    assert ids.isdisjoint(re.findall(r' id="([^"]+)"', second))


def test_every_chart_of_a_study_is_well_formed(tmp_path, make_study):
    (group,) = read_study(make_study(tmp_path, seeds=(0, 1), epochs=2)).groups
    charts = section(numbers(group), "", tmp_path).charts
    names = {chart.name for chart in charts}
    assert names >= {"accuracy", "alphas", "learning", "clipped", "zeros", "masking-mean", "masking-mean-normalised"}
    for chart in charts:
        ET.fromstring(file_svg(chart))
        ET.fromstring(panel_svg(chart, 0))


def test_variants_differ_in_more_than_colour(tmp_path, make_study):
    from glassbit.report.draw import styles

    arms = ("fp32", "sgt", "random", "pact", "sgt+pact", "random+pact")
    (group,) = read_study(make_study(tmp_path, arms=arms, seeds=(0,), epochs=1)).groups
    looks = [(style.marker, style.dash) for style in styles(group).values()]
    assert len(set(looks)) == len(looks) == 9


def test_named_options_look_different_from_each_other_and_from_the_controls(tmp_path, make_study):
    from glassbit.report.draw import styles

    arms = ("fp32", *(f"sgt-{i}" for i in range(16)), "random", "pact", "random+pact")
    (group,) = read_study(make_study(tmp_path, arms=arms, plans=("w4a4",), seeds=(0,), epochs=1)).groups
    look = {variant.arm: (style.colour, style.marker) for variant, style in styles(group).items()}
    assert len(set(look.values())) == len(look) == 20
    assert (look["fp32"], look["random"], look["sgt-0"]) == (("fp32", "o"), ("random", "^"), ("sgt", "s"))
    assert len({look[f"sgt-{i}"][1] for i in range(7)}) == 7


def test_a_swatch_shows_dash_and_marker():
    root = ET.fromstring(swatch(Style("sgt", "dashed", "s")))
    assert root.find("path").attrib["stroke-dasharray"] == "5 2.2"
