"""A folder of pictures that show what a network looks at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._files import check_folder
from glassbit._inputs import check_labels, check_network
from glassbit._takes import FUNCTION, PATH, TEXT, optional, several, takes
from glassbit.pictures import Explained, check_colors, folder_name, write_explained, write_index

from ._batches import Images, Target, batches, taken, undisturbed
from ._integrated import Integrated, integrated_gradients
from ._refused import check_method, is_quantized
from ._saliency import saliency


@takes(
    names=several(TEXT),
    methods=several(TEXT),
    out_dir=PATH,
    classes=several(TEXT),
    colors=TEXT,
    done=optional(FUNCTION),
)
def explain_images(
    model: nn.Module,
    images: Images,
    names: Sequence[str],
    methods: Sequence[str],
    out_dir: Path,
    *,
    classes: Sequence[str] = (),
    labels: Int64[Tensor, " n"] | None = None,
    target: Target = None,
    colors: str = "inferno",
    batch: int = 250,
    done: Callable[[str], None] | None = None,
) -> tuple[Explained, ...]:
    """Write PNGs of every image, its maps, the maps over it, and one panel with all of them; then `index.json`.

    Every file is whole or absent, and the index is written last; files of an earlier call that it does not name are
    left where they are.

    Args:
        model: takes float images in [0, 1] and returns logits.
        images: uint8, or float in [0, 1].
        names: one per image, for captions and folders; need not differ.
        methods: see `saliency`.
        out_dir: gets `index.json` and a folder per image.
        classes: the names of the classes; their numbers when left out.
        labels: the true classes, to be shown where they are known.
        target: see `saliency`.
        colors: a matplotlib colour map.
        batch: images that go through the network at once.
        done: called with the name of an image whose pictures are written.

    Raises:
        UsageError: before anything is written: an argument is not what it must be, or a method would be wrong on this
            network.
        DiskError: the folder cannot be written to.
    """
    images = taken(images, "explain_images")
    check_network("explain_images", model)
    labels = _check(model, images, names, methods, labels)
    out_dir = Path(out_dir)
    check_colors(colors)
    check_folder(out_dir)
    logits, explained = _predict(model, images, target, batch)
    confidences, predictions = logits.softmax(1).max(1)
    maps, integrated = _all_maps(model, images, explained, methods, batch)

    pictures: list[Explained] = []
    entries: list[dict[str, Any]] = []
    for i, name in enumerate(names):
        folder = out_dir / folder_name(i, name)
        one = Explained(name, folder, int(predictions[i]), _finite(confidences[i]), int(explained[i]))
        entry = write_explained(
            one,
            _array(images[i]),
            {method: _array(maps[method][i]) for method in methods},
            classes=classes,
            label=None if labels is None else int(labels[i]),
            notes=_notes(integrated, i),
            colors=colors,
        )
        if integrated is not None:
            entry["completeness"] = {"change": _finite(integrated.change[i]), "gap": _finite(integrated.gap[i])}
        pictures.append(one)
        entries.append(entry)
        if done is not None:
            done(name)
    write_index(out_dir, entries, methods=methods, quantized=is_quantized(model))
    return tuple(pictures)


def _predict(
    model: nn.Module, images: Tensor, target: Target, batch: int
) -> tuple[Float[Tensor, "n k"], Int64[Tensor, " n"]]:
    """Logits, and the classes to explain, on the CPU."""
    logits, explained = [], []
    with undisturbed(model), torch.no_grad():
        for x, chosen in batches(model, images, target, batch=batch):
            logits.append(model(x).float().cpu())
            explained.append(chosen.cpu())
    return torch.cat(logits), torch.cat(explained)


def _all_maps(
    model: nn.Module, images: Tensor, target: Tensor, methods: Sequence[str], batch: int
) -> tuple[dict[str, Tensor], Integrated | None]:
    maps: dict[str, Tensor] = {}
    integrated = None
    for method in methods:
        if method == "integrated-gradients":
            integrated = integrated_gradients(model, images, target, batch=batch)
            maps[method] = integrated.maps
        else:
            maps[method] = saliency(model, images, target, method=method, batch=batch)
    return maps, integrated


def _notes(integrated: Integrated | None, i: int) -> dict[str, str]:
    if integrated is None:
        return {}
    return {"integrated-gradients": f"gap {float(integrated.gap[i]):+.2g} of {float(integrated.change[i]):.3g}"}


def _finite(value: Tensor) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _array(values: Shaped[Tensor, "..."]) -> Shaped[np.ndarray, "..."]:
    values = values.detach().cpu()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def _check(
    model: nn.Module, images: Tensor, names: Sequence[str], methods: Sequence[str], labels: Tensor | None
) -> Tensor | None:
    for method in methods:
        check_method(model, method)
    if not methods or len(set(methods)) != len(methods):
        raise UsageError(f"explain_images: methods must be one or more names, each once; got {tuple(methods)}")
    if not len(images):
        raise UsageError("explain_images: images must be one or more; got none")
    if len(names) != len(images):
        raise UsageError(f"explain_images: names must be {len(images)}, one per image; got {len(names)}")
    return None if labels is None else check_labels("explain_images", labels, len(images), meta=False)
