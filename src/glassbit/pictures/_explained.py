"""A folder of pictures that show what a network looks at, one folder an image, and its index."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from glassbit._files import write_json
from glassbit._takes import TEXT, takes, whole

from ._panel import Column, panel
from ._render import colored, enlarged, overlay, to_rgb, write_png

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


@takes(number=whole(0), name=TEXT)
def folder_name(number: int, name: str) -> str:
    """Return a name for an image's folder that any file system takes and that stays inside its parent."""
    stem = re.sub(r"\.(png|jpe?g|bmp|gif|tiff?|webp)$", "", name, flags=re.IGNORECASE)
    return f"{number:04d}-{re.sub(r'[^A-Za-z0-9_-]+', '-', stem).strip('-')[-60:] or 'image'}"


def write_explained(
    one: Explained,
    image: Shaped[np.ndarray, "c h w"],
    maps: Mapping[str, Float[np.ndarray, "h w"]],
    *,
    classes: Sequence[str] = (),
    label: int | None = None,
    notes: Mapping[str, str] | None = None,
    colors: str = "inferno",
) -> dict[str, Any]:
    """Write the pictures of one image: itself, its maps, the maps over it, and one panel with all of them.

    Args:
        one: what was found, and where the pictures go.
        image: uint8, or float in [0, 1].
        maps: by the name of the method.
        classes: the names of the classes; their numbers when left out.
        label: the true class, where it is known.
        notes: a line on a map, by the name of the method.
        colors: see `colored`.

    Returns:
        What the index says of the image; paths are relative to the parent of its folder.
    """
    entry = _entry(one, label, classes)
    folder, picture = one.folder, to_rgb(image)
    write_png(folder / "image.png", enlarged(picture, _SIDE))
    files: dict[str, Any] = {"image": f"{folder.name}/image.png", "panel": f"{folder.name}/panel.png", "methods": {}}
    columns = []
    for method, explained in maps.items():
        column = Column(
            method,
            colored(explained, colors=colors),
            overlay(image, explained, colors=colors),
            (notes or {}).get(method, ""),
        )
        write_png(folder / f"{method}-map.png", enlarged(column.saliency, _SIDE))
        write_png(folder / f"{method}-overlay.png", enlarged(column.overlay, _SIDE))
        files["methods"][method] = {kind: f"{folder.name}/{method}-{kind}.png" for kind in ("map", "overlay")}
        columns.append(column)
    write_png(folder / "panel.png", panel(picture, _lines(entry), columns))
    return {**entry, "files": files}


def write_index(
    out_dir: Path, entries: Sequence[Mapping[str, Any]], *, methods: Sequence[str], quantized: bool
) -> None:
    """Write `index.json`, which names every picture; it comes last, when they are all there."""
    gradient = "straight-through" if quantized else "exact"
    index = {"methods": list(methods), "quantized": quantized, "gradient": gradient, "images": list(entries)}
    write_json(out_dir / "index.json", index)


def _entry(one: Explained, label: int | None, classes: Sequence[str]) -> dict[str, Any]:
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


def _lines(entry: Mapping[str, Any]) -> list[str]:
    """Return what a panel says of an image."""
    sure = "" if entry["confidence"] is None else f" ({entry['confidence']:.0%})"
    lines = [entry["name"], f"predicted: {entry['prediction_name']}{sure}", f"explained: {entry['target_name']}"]
    return lines if entry["label"] is None else [*lines, f"true: {entry['label_name']}"]
