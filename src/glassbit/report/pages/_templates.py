"""What every page is rendered with."""

from __future__ import annotations

import re

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from glassbit._count import counted
from glassbit.report.draw import COLOURS, Chart, Style, panel_svg
from glassbit.report.draw import swatch as swatch_svg
from glassbit.report.numbers import ACCURACY, ROAD
from glassbit.report.words import NOTHING, bracket_text, count, kilobytes, number, scaled, spread_text


def environment() -> Environment:
    """Templates that escape everything, with the filters and the colours they share."""
    made = Environment(
        loader=PackageLoader("glassbit.report.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(
        number=number,
        spread=spread_text,
        kilobytes=kilobytes,
        count=count,
        counted=counted,
        anchor=anchor,
        panels=_panels,
        swatch=swatch,
        brackets=bracket_text,
        scaled=scaled,
    )
    made.globals.update(light=COLOURS, nothing=NOTHING, columns={"accuracy": ACCURACY, "road": ROAD})
    return made


def anchor(text: str) -> str:
    """Return a name that is safe in ids and file names.

    >>> anchor("Fashion mini / w4a4")
    'fashion-mini-w4a4'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def swatch(style: Style) -> Markup:
    """Return the legend's sample of a line."""
    return Markup(swatch_svg(style))  # noqa: S704


def _panels(chart: Chart) -> list[Markup]:
    return [Markup(panel_svg(chart, index)) for index in range(len(chart.panels))]  # noqa: S704
