"""`glassbit measure`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glassbit._files import check_folder
from glassbit.cli._measured import DATA, DATA_DIR, IMAGES
from glassbit.cli._run_flags import TRUST
from glassbit.cli._say import line


def measure(
    network: Annotated[str, Parameter(help="a run folder, a .glassbit or .onnx file, or module:callable")],
    /,
    *,
    data: Annotated[str | None, DATA] = None,
    data_dir: Annotated[Path | None, DATA_DIR] = None,
    images: Annotated[int, IMAGES] = 1000,
    trust: Annotated[bool, TRUST] = False,
    out: Annotated[
        Path | None,
        Parameter(help="where the numbers and the page go; left out: the run's folder, or measured/ and the name"),
    ] = None,
) -> int:
    """Measure what a network's explanations are worth."""
    from glassbit.cli._measured import dataset, find, measured, opened
    from glassbit.report import write_measurement

    place = find(network, trust=trust)
    folder = out or (Path("measured") / place.slug if place.folder is None or data is not None else place.folder)
    check_folder(folder)  # before the images are read
    chosen = dataset((place,), data, data_dir)
    (subject,) = opened((place,), chosen)
    measurement = measured(place, subject, chosen, folder, images)
    write_measurement(folder, measurement)
    for each in measurement.lines():
        line(each)
    line(f"report: {folder / 'transparency.html'}")
    return 0
