"""`glassbit explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glassbit._errors import UsageError
from glassbit._files import check_folder
from glassbit.cli._run_flags import TRUST
from glassbit.cli._say import line

METHODS = ("gradient", "smoothgrad", "integrated-gradients", "grad-cam", "occlusion")


def explain(
    run: Annotated[Path, Parameter(help="the folder of a run")],
    /,
    *,
    images: Annotated[
        Path | None, Parameter(help="an image or a folder of images, of any size; left out: the run's probe images")
    ] = None,
    method: Annotated[
        str, Parameter(help=f"{', '.join(METHODS[:-1])} or {METHODS[-1]}; several with commas", metavar="NAME,...")
    ] = METHODS[0],
    target: Annotated[
        str | None, Parameter(help="the class to explain; left out: the predicted class of each image", metavar="CLASS")
    ] = None,
    trust: Annotated[bool, TRUST] = False,
    out: Annotated[Path | None, Parameter(help="where the pictures go; left out: RUN/explain")] = None,
) -> int:
    """Draw saliency maps."""
    from glassbit.cli._pictures import own_pictures, probe_pictures
    from glassbit.explain import explain_images
    from glassbit.study import saved_run, trained_model

    saved = saved_run(run)
    if target is not None and target not in saved.classes:
        raise UsageError(f"--target: must be one of {', '.join(saved.classes)}; got {target!r}")
    folder = out or run / "explain"
    check_folder(folder)
    pictures = probe_pictures(saved) if images is None else own_pictures(images, saved)
    explained = explain_images(
        trained_model(run, trust=trust),
        pictures.images,
        pictures.names,
        tuple(dict.fromkeys(method.split(","))),
        folder,
        classes=saved.classes,
        labels=pictures.labels,
        target=None if target is None else saved.classes.index(target),
    )
    for one in explained:
        sure = "" if one.confidence is None else f" ({one.confidence:.0%})"
        line(f"{one.name}: predicted {saved.classes[one.prediction]}{sure}, explained {saved.classes[one.target]}")
    line(f"pictures: {folder}")
    return 0
