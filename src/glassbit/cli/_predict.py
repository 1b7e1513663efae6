"""`glassbit predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter
from jaxtyping import Float32, Float64, Int64, UInt8

from glassbit._errors import UsageError
from glassbit._files import check_folder
from glassbit.cli._network_file import Network, open_network
from glassbit.cli._own_images import image_files
from glassbit.cli._say import line

_METHOD = "gradient"
_AT_ONCE = 32


def predict(
    file: Annotated[Path, Parameter(help="a .glassbit or .onnx file, as `glassbit export` writes it")],
    /,
    *images: Annotated[Path, Parameter(help="images and folders of images, of any size")],
    explain: Annotated[
        Path | None, Parameter(help="also write PNGs of image, saliency map and both into this folder", metavar="DIR")
    ] = None,
    target: Annotated[
        str | None,
        Parameter(help="the class to explain; left out: the predicted class of each image", metavar="CLASS"),
    ] = None,
) -> int:
    """Print the predicted class of images."""
    from glassbit.pictures import Framing, decoded, settle, write_index

    if not images:
        raise UsageError("predict: images must be named after FILE; got none; name files or a folder")
    network = open_network(file)
    chosen = _target(target, network, explaining=explain is not None)
    if explain is not None and network.saliency is None:
        raise UsageError(
            f"--explain: {file} must return saliency maps; got a file without; write one with `glassbit export RUN "
            "--onnx FILE --explain`"
        )
    if explain is not None:
        check_folder(explain)
    files, names = image_files(images, "IMAGE")
    wanted = network.preprocessing
    size, color = (wanted.height, wanted.width), "grey" if wanted.channels == 1 else "rgb"
    framing = settle(files, Framing.of(size=size, resize=wanted.resize, color=color))
    entries: list[dict[str, Any]] = []
    for start in range(0, len(files), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        pixels = np.concatenate(list(decoded(files[some], framing).chunks()))
        logits = network.run(pixels)
        predicted, probabilities = logits.argmax(1), softmax(logits)
        explained = predicted if chosen is None else np.full_like(predicted, chosen)
        if explain is not None:
            entries += _draw(network, explain, start, names[some], pixels, probabilities, explained)
        for i, name in enumerate(names[some]):
            said = f"{name}: predicted {network.classes[predicted[i]]} ({probabilities[i].max():.0%})"
            line(said if explain is None else f"{said}, explained {network.classes[explained[i]]}")
    if explain is not None:
        write_index(explain, entries, methods=[_METHOD], quantized=True)
        line(f"pictures: {explain}")
    return 0


def softmax(logits: Float32[np.ndarray, "n k"]) -> Float64[np.ndarray, "n k"]:
    """Probabilities: `exp(z_c) / sum over classes of exp(z_d)`."""
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    result: Float64[np.ndarray, "n k"] = powers / powers.sum(1, keepdims=True)
    return result


def _target(target: str | None, network: Network, *, explaining: bool) -> int | None:
    if target is None:
        return None
    if not explaining:
        raise UsageError("--target: must be used with --explain; got no --explain; add --explain DIR, or leave it out")
    if target not in network.classes:
        raise UsageError(f"--target: must be one of {', '.join(network.classes)}; got {target!r}")
    return network.classes.index(target)


def _draw(
    network: Network,
    folder: Path,
    start: int,
    names: tuple[str, ...],
    pixels: UInt8[np.ndarray, "n c h w"],
    probabilities: Float64[np.ndarray, "n k"],
    explained: Int64[np.ndarray, " n"],
) -> list[dict[str, Any]]:
    """Write the pictures of some images; returns what the index says of them."""
    from glassbit.pictures import Explained, folder_name, write_explained

    assert network.saliency is not None
    maps = network.saliency(pixels, explained)
    entries = []
    for i, name in enumerate(names):
        where = folder / folder_name(start + i, name)
        best = int(probabilities[i].argmax())
        one = Explained(name, where, best, float(probabilities[i, best]), int(explained[i]))
        entries.append(write_explained(one, pixels[i], {_METHOD: maps[i]}, classes=network.classes))
    return entries
