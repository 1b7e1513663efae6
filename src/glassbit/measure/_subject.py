"""A network under measurement: logits and saliency maps, whatever it is made of."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, Shaped, UInt8
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._inputs import check_images, check_labels, check_network, running
from glassbit._modes import evaluating
from glassbit._takes import FOUND, TEXT, check_kind, optional, several, whole
from glassbit.explain import gradient
from glassbit.intgraph import LONGEST, IntGraph, load
from glassbit.models import to_unit
from glassbit.runtime import Session, onnx_model

_Run = Callable[[UInt8[np.ndarray, "n c h w"]], Float32[np.ndarray, "n k"]]
_Explain = Callable[[UInt8[np.ndarray, "n c h w"], Int64[np.ndarray, " n"]], Float[np.ndarray, "n h w"]]


class Subject(ABC):
    """What every measurement asks of a network.

    Args:
        name: what tables and errors call it.
        classes: the number of logits.
        image_shape: channels, height, width.
        batch: images that go through it at once; the results do not depend on it.
        class_names: one for each logit, by which the classes of a data set are found; None where it has no names, and
            class numbers are taken as they are.
    """

    def __init__(
        self,
        *,
        name: str,
        classes: int,
        image_shape: tuple[int, int, int],
        batch: int,
        class_names: Sequence[str] | None = None,
    ) -> None:
        check_kind("Subject", "name", TEXT, name)
        check_kind(name, "batch", whole(1, usual=250), batch)
        check_kind(name, "class_names", optional(several(TEXT)), class_names)
        if class_names is not None and len(class_names) != classes:
            raise UsageError(f"{name}: class_names must be {classes}, one for each logit; got {len(class_names)}")
        self.name = name
        self.class_names = None if class_names is None else tuple(class_names)
        self.classes = classes
        self.image_shape = image_shape
        self._batch = batch

    @property
    @abstractmethod
    def digest(self) -> str:
        """SHA-256 of all that decides the answers."""

    @property
    @abstractmethod
    def model(self) -> nn.Module | None:
        """For what needs gradients or weights; None where there is only a file."""

    def logits(self, images: Shaped[Tensor, "n c h w"]) -> Float32[Tensor, "n k"]:
        """Return the logits, on the CPU.

        Args:
            images: uint8, or float in [0, 1].

        Raises:
            UsageError: images of another type or shape.
        """
        self._check(images)
        starts = range(0, len(images), self._batch)
        parts = [self._logits(images[start : start + self._batch]) for start in starts]
        return torch.cat(parts) if parts else torch.zeros(0, self.classes)

    def saliency(self, images: Shaped[Tensor, "n c h w"], targets: Int64[Tensor, " n"]) -> Float32[Tensor, "n h w"]:
        """How much each pixel matters to the logit of the target, on the CPU.

            a = sum over channels of |d f_target / d x|

        Args:
            images: uint8, or float in [0, 1].
            targets: the class of each image to explain, on the CPU.

        Raises:
            UsageError: images of another type or shape, targets that are no classes, or a network that has no maps.
        """
        self._check(images)
        targets = self._check_targets(len(images), targets)
        places = [slice(start, start + self._batch) for start in range(0, len(images), self._batch)]
        parts = [self._saliency(images[place], targets[place]) for place in places]
        return torch.cat(parts) if parts else torch.zeros(0, *self.image_shape[1:])

    @abstractmethod
    def _logits(self, images: Shaped[Tensor, "n c h w"]) -> Float32[Tensor, "n k"]:
        """Return the same for one batch of at least one image."""

    @abstractmethod
    def _saliency(self, images: Shaped[Tensor, "n c h w"], targets: Int64[Tensor, " n"]) -> Float32[Tensor, "n h w"]:
        """Return the same for one batch of at least one image."""

    def _check(self, images: Tensor) -> None:
        check_images(self.name, images, shape=self.image_shape, empty=True, meta=False)

    def _check_targets(self, n: int, targets: Tensor) -> Tensor:
        return check_labels(self.name, targets, n, self.classes, name="targets", meta=False)


class TorchSubject(Subject):
    """A torch network: a `Classifier`, a `Deployed`, or any module of the user's own.

    It is asked in eval mode, on its own device and in its own precision; every module gets its own mode back. Maps are
    `glassbit.explain.gradient`: of a quantized network the straight-through ones.

    Args:
        model: takes float images in [0, 1] and returns logits.
        name, image_shape, batch, class_names: see `Subject`.

    Raises:
        UsageError: it returns something else than logits for a black image.

    Example:
        >>> from glassbit import models
        >>> subject = TorchSubject(models.cnn_bn(width=4), name="small", image_shape=(1, 28, 28))
        >>> subject.classes, subject.logits(torch.zeros(2, 1, 28, 28)).shape
        (10, torch.Size([2, 10]))
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        name: str,
        image_shape: tuple[int, int, int],
        batch: int = 250,
        class_names: Sequence[str] | None = None,
    ) -> None:
        check_network("TorchSubject", model)
        check_kind("TorchSubject", "image_shape", several(whole(1, LONGEST, usual=28), count=3), image_shape)
        check_kind("TorchSubject", "name", TEXT, name)
        self._model = model
        image_shape = image_shape[0], image_shape[1], image_shape[2]
        blank = torch.zeros(1, *image_shape)
        with running(name, blank):
            logits = self._forward(blank)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 1:
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise UsageError(f"{name}: the model must return logits (n, classes); got {got} for one image")
        super().__init__(
            name=name, classes=logits.shape[1], image_shape=image_shape, batch=batch, class_names=class_names
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the names and values of its parameters and buffers."""
        state = hashlib.sha256()
        for name, value in self._model.state_dict().items():
            state.update(name.encode())
            if isinstance(value, Tensor):
                state.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return state.hexdigest()

    @property
    def model(self) -> nn.Module:
        """The network itself."""
        return self._model

    def _logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self._forward(images)
        return logits.float().cpu()

    def _saliency(self, images: Tensor, targets: Tensor) -> Tensor:
        return gradient(self._model, images, targets, batch=len(images)).float().cpu()

    @torch.no_grad()
    def _forward(self, images: Tensor) -> Any:
        floats = (parameter for parameter in self._model.parameters() if parameter.is_floating_point())
        like = next(floats, torch.zeros(0))
        with evaluating(self._model):
            return self._model(to_unit(images.to(like.device)).to(like.dtype, copy=True))


class ArtifactSubject(Subject):
    """A network as it ships: an `.onnx` file, or a `.glassbit` file.

    Both run in ONNX Runtime; a `.glassbit` file without it, or where ONNX cannot express its network, in the NumPy
    interpreter. Both give the same logits to the bit, NumPy some twenty times as slowly.

    Floating-point images are rounded to 8 bits, which is all that it reads.

    Args:
        path: of the file, as `glassbit export` writes it.
        name, batch: see `Subject`.

    Raises:
        UsageError: neither kind of file, or ONNX Runtime is not installed.
        ArtifactError: the file is damaged, or not one of ours.
    """

    def __init__(self, path: str | Path, *, name: str, batch: int = 250) -> None:
        check_kind("ArtifactSubject", "path", FOUND, path)
        check_kind("ArtifactSubject", "name", TEXT, name)
        path = Path(path)
        self._run: _Run
        self._explain: _Explain | None
        if path.suffix == ".glassbit":
            graph = load(path)
            self._run, self._explain = _engine(graph)
            classes, size = graph.classes, graph.preprocessing
        elif path.suffix == ".onnx":
            session = Session(path, threads=0)
            self._run = session.run
            self._explain = (lambda images, targets: session.explain(images, targets)[1]) if session.explains else None
            classes, size = session.classes, session.preprocessing
        else:
            raise UsageError(
                f"{name}: the file must end with .glassbit or .onnx, as `glassbit export` writes them; got {path}"
            )
        self._digest = hashlib.sha256(path.read_bytes()).hexdigest()
        shape = (size.channels, size.height, size.width)
        super().__init__(name=name, classes=len(classes), image_shape=shape, batch=batch, class_names=classes)

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return self._digest

    @property
    def model(self) -> None:
        """None: a file has neither gradients nor weights to change."""
        return

    def _logits(self, images: Tensor) -> Tensor:
        return torch.from_numpy(self._run(_pixels(images)))

    def _saliency(self, images: Tensor, targets: Tensor) -> Tensor:
        if self._explain is None:
            raise UsageError(
                f"{self.name}: must return saliency maps; got an .onnx file without them; write it again with "
                "`glassbit export RUN --onnx FILE --explain`, or measure the .glassbit file"
            )
        return torch.from_numpy(self._explain(_pixels(images), targets.numpy())).float()


def _pixels(images: Shaped[Tensor, "n c h w"]) -> UInt8[np.ndarray, "n c h w"]:
    whole = images if images.dtype == torch.uint8 else (images.float() * 255).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(whole.cpu().numpy())


def _engine(graph: IntGraph) -> tuple[_Run, _Explain]:
    """Return what runs a graph, and what explains it."""
    try:
        session = Session(onnx_model(graph, explain=True), threads=0)
    except UsageError:
        return graph.run, graph.saliency
    return session.run, lambda images, targets: session.explain(images, targets)[1]
