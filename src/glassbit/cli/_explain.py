"""`glassbit explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glassbit._errors import UsageError

if TYPE_CHECKING:
    pass

_METHODS = "gradient, smoothgrad, integrated-gradients, grad-cam or occlusion"


def explain(
    run: Annotated[Path, Parameter(help="the folder of a run")],
    /,
    *,
    images: Annotated[
        Path | None, Parameter(help="a folder of images, of any size; left out: the probe images of the run")
    ] = None,
    method: Annotated[str, Parameter(help=f"{_METHODS}; several with commas between", metavar="NAME,...")] = "gradient",
    target: Annotated[
        str | None,
        Parameter(help="the class to explain, by name; left out: the predicted class of each image", metavar="CLASS"),
    ] = None,
    out: Annotated[Path | None, Parameter(help="where the pictures go; left out: RUN/explain")] = None,
) -> int:
    """Draw saliency maps."""
    from glassbit.study import saved_run, trained_model

    saved = saved_run(run)
    if target is not None and target not in saved.classes:
        raise UsageError(f"--target: must be one of {', '.join(saved.classes)}; got {target!r}")
    model = trained_model(run)
    names, pixels = _probes(saved) if images is None else _pictures(images, saved)
    return 0
