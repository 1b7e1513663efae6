"""A folder of pictures that show what a network looks at."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._files import write_json

from ._batches import Target, batches, undisturbed
from ._integrated import Integrated, integrated_gradients
from ._panel import Column, panel
from ._refused import check_method, is_quantized
from ._render import check_colors, colored, enlarged, overlay, to_rgb, write_png
from ._saliency import saliency

_SIDE = 224


@dataclass(frozen=True)
class Explained:
    """One image, explained.

    Args:
        name: as given.
        folder: where its pictures are: `image.png`, `panel.png`, `METHOD-map.png` and `METHOD-overlay.png`.
        prediction: the predicted class.
        confidence: its probability, 0..1; None where the network's output is not finite.
        target: the class that the maps explain.
    """

    name: str
    folder: Path
    prediction: int
    confidence: float | None
    target: int


def explain_images(
    model: nn.Module,
    images: Shaped[Tensor, "n c h w"],
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
        names: one an image, for captions and folders; need not differ.
        methods: see `saliency`.
        out_dir: gets `index.json` and a folder an image.
        classes: the names of the classes; their numbers when left out.
        labels: the true classes, to be shown where they are known.
        target: see `saliency`.
        colors: a matplotlib colour map.
        batch: images that go through the network at once.
        done: called with the name of an image whose pictures are written.

    Raises:
        UsageError: before anything is written: an argument is not what it must be, or a method would be wrong on this
            network.
    """
    _check(model, images, names, methods, labels)
    check_colors(colors)
    logits, explained = _predict(model, images, target, batch)
    confidences, predictions = logits.softmax(1).max(1)
    maps, integrated = _all_maps(model, images, explained, methods, batch)

    found: list[Explained] = []
    entries: list[dict[str, Any]] = []
    for i, name in enumerate(names):
        folder = f"{i:04d}-{_slug(name)}"
        confidence = _finite(confidences[i])
        one = Explained(name, out_dir / folder, int(predictions[i]), confidence, int(explained[i]))
        label = None if labels is None else int(labels[i])
        entry = _entry(one, label, classes)
        if integrated is not None:
            entry["completeness"] = {"change": _finite(integrated.change[i]), "gap": _finite(integrated.gap[i])}
        mine = {method: maps[method][i] for method in methods}
        entry["files"] = _write(out_dir, folder, images[i], mine, _lines(entry), _notes(integrated, i), colors)
        found.append(one)
        entries.append(entry)
        if done is not None:
            done(name)
    quantized = is_quantized(model)
    gradient = "straight-through" if quantized else "exact"
    index = {"methods": list(methods), "quantized": quantized, "gradient": gradient, "images": entries}
    write_json(out_dir / "index.json", index)
    return tuple(found)


def _entry(one: Explained, label: int | None, classes: Sequence[str]) -> dict[str, Any]:
    """What the index says of an image."""

    def called(number: int) -> str:
        return classes[number] if 0 <= number < len(classes) else str(number)

    return {
        "name": one.name,
        "prediction": one.prediction,
        "prediction_name": called(one.prediction),
        "confidence": one.confidence,
        "target": one.target,
        "target_name": called(one.target),
        "label": label,
        "label_name": None if label is None else called(label),
    }


def _lines(entry: dict[str, Any]) -> list[str]:
    """What a panel says of an image."""
    sure = "" if entry["confidence"] is None else f" ({entry['confidence']:.0%})"
    lines = [entry["name"], f"predicted: {entry['prediction_name']}{sure}", f"explained: {entry['target_name']}"]
    return lines if entry["label"] is None else [*lines, f"true: {entry['label_name']}"]


def _write(
    out_dir: Path,
    folder: str,
    image: Tensor,
    maps: dict[str, Tensor],
    lines: Sequence[str],
    notes: dict[str, str],
    colors: str,
) -> dict[str, Any]:
    """The pictures of one image; returns their paths relative to `out_dir`."""
    picture = to_rgb(image)
    write_png(out_dir / folder / "image.png", enlarged(picture, _SIDE))
    files: dict[str, Any] = {"image": f"{folder}/image.png", "panel": f"{folder}/panel.png", "methods": {}}
    columns = []
    for method, saliency_map in maps.items():
        column = Column(
            method,
            colored(saliency_map, colors=colors),
            overlay(image, saliency_map, colors=colors),
            notes.get(method, ""),
        )
        paths = {kind: f"{folder}/{method}-{kind}.png" for kind in ("map", "overlay")}
        write_png(out_dir / paths["map"], enlarged(column.saliency, _SIDE))
        write_png(out_dir / paths["overlay"], enlarged(column.overlay, _SIDE))
        files["methods"][method] = paths
        columns.append(column)
    write_png(out_dir / files["panel"], panel(picture, lines, columns))
    return files


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


def _slug(name: str) -> str:
    """A name that any file system takes."""
    stem = re.sub(r"\.(png|jpe?g|bmp|gif|tiff?|webp)$", "", name, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[-60:] or "image"


def _check(
    model: nn.Module, images: Tensor, names: Sequence[str], methods: Sequence[str], labels: Tensor | None
) -> None:
    for method in methods:
        check_method(model, method)
    if not methods or len(set(methods)) != len(methods):
        raise UsageError(f"explain_images: methods must be one or more names, each once; got {tuple(methods)}")
    if not len(images):
        raise UsageError("explain_images: needs at least one image; got none")
    if len(names) != len(images):
        raise UsageError(f"explain_images: names must be {len(images)}, one an image; got {len(names)}")
    if labels is not None and labels.shape != (len(images),):
        raise UsageError(
            f"explain_images: labels must be {len(images)} classes, one an image; got {tuple(labels.shape)}"
        )
