"""The one form of a network between training and every back end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int64, Num, UInt8

from glassbit._takes import PATH, takes

from ._certificate import Certificate, certify
from ._encode import encode
from ._file import save, version_of
from ._infer import TensorInfo, infer_all
from ._nodes import About, Node, Preprocessing
from ._run import run, trace
from ._saliency import saliency
from ._text import text
from ._validate import validate


@dataclass(frozen=True, eq=False, repr=False)
class IntGraph:
    """An integer network: nodes that all have one meaning, to the bit, wherever they run.

    Args:
        nodes: in an order in which each comes after those that it reads; first the `Input`, last the `Logits`.
        classes: the names of the logits.
        preprocessing: what an image file goes through before.
        about: where the network comes from.

    Raises:
        UsageError: one of these is of another type.
        GraphError: rules are broken; all of them, by the names of the nodes.

    Example:
        >>> import numpy as np
        >>> from glassbit.intgraph import Flatten, Input, Linear, Logits, Weights
        >>> codes = np.array([[3, 0], [0, 3]], dtype=np.uint8)
        >>> graph = IntGraph(
        ...     nodes=(
        ...         Input("image", channels=1, height=1, width=2, zero=0),
        ...         Flatten("flat", "image"),
        ...         Linear("fc", "flat", Weights(codes, bits=2, grid="odd")),
        ...         Logits("logits", "fc", np.array([0, 100], np.int32), np.array([0.5, 0.5], np.float32)),
        ...     ),
        ...     classes=("left", "right"),
        ...     preprocessing=Preprocessing(channels=1, height=1, width=2),
        ... )
        >>> graph.run(np.array([[[[255, 0]]], [[[0, 255]]]], dtype=np.uint8)).tolist()
        [[382.5, -332.5], [-382.5, 432.5]]
        >>> graph
        IntGraph(2 classes):
          image: Input() -> 1 x 1 x 2
          flat: Flatten(image) -> 2
          fc: Linear(flat, 2 bits, 2 x 2) -> 2
          logits: Logits(fc) -> 2
    """

    nodes: tuple[Node, ...]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    about: About = field(default_factory=About)

    def __post_init__(self) -> None:
        self.validate()

    def __repr__(self) -> str:
        return text(self.nodes, self.classes, self.about)

    def validate(self) -> None:
        """Check every rule again.

        Raises:
            GraphError: rules are broken; all of them, by the names of the nodes.
        """
        validate(self.nodes, self.classes, self.preprocessing, self.about)

    def tensors(self) -> dict[str, TensorInfo]:
        """Return what each node makes, by name, in the order of the nodes."""
        return infer_all(self.nodes)

    def run(self, images: UInt8[np.ndarray, "n c h w"]) -> Float32[np.ndarray, "n k"]:
        """Return the logits. This is the definition that every back end meets bit for bit; it is slow.

        Args:
            images: pixels 0..255 of the input's shape.

        Raises:
            UsageError: the images are of another type or shape.
        """
        return run(self.nodes, images)

    def trace(self, images: UInt8[np.ndarray, "n c h w"]) -> dict[str, Num[np.ndarray, "n ..."]]:
        """Every tensor by its name: int64, and the logits float32. It holds all of them for all the images.

        Args:
            images: pixels 0..255 of the input's shape.

        Raises:
            UsageError: the images are of another type or shape.
        """
        return trace(self.nodes, images)

    def saliency(
        self, images: UInt8[np.ndarray, "n c h w"], target: int | Int64[np.ndarray, " n"] | None = None
    ) -> Float64[np.ndarray, "n h w"]:
        """How much the logit of the target depends on each pixel.

            map = sum over channels of |d logit_target / d x|,    x = pixel / 255

        straight through roundings: a requantizer passes `m_c 2^-e_c` where its code lies strictly inside its window,
        nothing elsewhere; a max pool passes to the first maximum of each window. Masks are taken from the integers.

        Args:
            images: pixels 0..255 of the input's shape.
            target: the class, or one for each image; the predicted class (of equal ones the first) when left out.

        Raises:
            UsageError: the images are of another type or shape, or a target is no class.
        """
        return saliency(self.nodes, images, target)

    @property
    def certificate(self) -> Certificate:
        """What the network costs and why it is exact, layer by layer."""
        return certify(self.nodes)

    @takes(path=PATH)
    def save(self, path: str | Path) -> None:
        """Write the network to a file, which is afterwards whole or as it was before.

        Args:
            path: of the file, `model.glassbit` by custom.

        Raises:
            UsageError: `path` is none.
            DiskError: the file cannot be written.
        """
        encoded = encode(self.nodes, self.classes, self.preprocessing, self.about, version_of(self.nodes))
        save(encoded, self.certificate, Path(path))
