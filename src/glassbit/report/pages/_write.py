"""From a folder of result files to the page, the tables and the figures."""

from __future__ import annotations

from pathlib import Path

from glassbit._files import check_folder, replacing, write_text
from glassbit.report.draw import file_svg, grid_png
from glassbit.report.numbers import numbers
from glassbit.report.read import read_study

from ._page import page, section
from ._tables import tables
from ._templates import anchor
from ._transparency_tables import transparency_tables


def write_report(folder: Path) -> Path:
    """Write `report.html`, `tables/*.csv`, `tables/*.md`, `figures/*.svg` and `figures/maps-*.png` into
    `folder`.

    Reads result files only, so it can be called while a study is running and after a failed one; runs that have no
    result are named in the page. The same files give the same bytes.

    Args:
        folder: a study folder (with `study.json`) or the folder of one run (with `run.json`).

    Returns:
        The path of the page.

    Raises:
        RunError: the folder is neither, or a file in it is not what it should be.
        DiskError: a file cannot be written.
    """
    for inner in ("tables", "figures") if folder.is_dir() else ():
        check_folder(folder / inner)
    study = read_study(folder)
    several = len(study.groups) > 1
    known = [numbers(group) for group in study.groups]
    sections = [section(one, anchor(f"{one.group.data}-{one.group.model}") if several else "", folder) for one in known]
    written = []
    for table in [*tables(known), *transparency_tables(known)]:
        for ending, text in (("csv", table.csv()), ("md", table.markdown())):
            written.append(f"tables/{table.name}.{ending}")
            write_text(folder / written[-1], text)
    for part in sections:
        for chart in part.charts:
            written.append(f"figures/{anchor(chart.name)}.svg")
            write_text(folder / written[-1], file_svg(chart))
        for name, grid in part.grids.items():
            written.append(f"figures/{name}.png")
            with replacing(folder / written[-1]) as temporary:
                temporary.write_bytes(grid_png(grid))
    target = folder / "report.html"
    write_text(target, page(study, sections, written))
    return target
