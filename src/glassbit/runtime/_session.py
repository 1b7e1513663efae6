"""An exported network in ONNX Runtime."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from glassbit._errors import ArtifactError, UsageError
from glassbit._takes import SWITCH, Kind, check_kind, is_path, takes, whole
from glassbit.intgraph import Preprocessing, check_pixels, check_targets

from ._described import described
from ._extras import need
from ._names import IMAGE, LOGITS, PREDICTED, SALIENCY, TARGET
from ._untrusted import parsed, read_file, short

if TYPE_CHECKING:
    import onnx


MOST_THREADS = 1024


def is_model(value: object) -> bool:
    """Whether it is a model: a path, the content of a file, or what onnx made."""
    return is_path(value) or isinstance(value, bytes) or callable(getattr(value, "SerializeToString", None))


MODEL = Kind("an ONNX file: its path, its bytes, or an onnx.ModelProto", is_model, 'pass one, such as "model.onnx"')


class Session:
    """An ONNX file of `export_onnx`, ready to run on this machine's CPU.

    Args:
        model: the file, its bytes, or the model itself.
        threads: of one operator; 0 for as many as there are cores.
        optimize: whether ONNX Runtime may rewrite the graph; the logits do not depend on it.

    Raises:
        UsageError: a package of the extra is not installed.
        ArtifactError: ONNX Runtime cannot load the file, or `export_onnx` has not written it: only its operators and
            its metadata are accepted, all of the data must be in the file, and the shapes must be ones that a machine
            can hold.
    """

    def __init__(self, model: str | Path | bytes | onnx.ModelProto, *, threads: int = 1, optimize: bool = True) -> None:
        check_kind("Session", "model", MODEL, model)
        check_kind("Session", "threads", whole(0, MOST_THREADS, usual=1), threads)
        check_kind("Session", "optimize", SWITCH, optimize)
        source = str(model) if isinstance(model, str | os.PathLike) else "the model"
        data = content(model)
        description = described(data, source)
        self._source = source
        self._session = open_session(data, source, threads=threads, optimize=optimize)
        self.metadata: dict[str, str] = description.metadata
        self.classes: tuple[str, ...] = description.classes
        self.preprocessing: Preprocessing = description.preprocessing
        self.explains: bool = description.explains
        """Whether the file returns saliency maps."""
        self._wants_target = TARGET in {given.name for given in self._session.get_inputs()}

    def run(self, images: UInt8[np.ndarray, "n c h w"]) -> Float32[np.ndarray, "n k"]:
        """Return the logits.

        Args:
            images: pixels 0..255 of the network's size.

        Raises:
            UsageError: the images are of another type or shape.
        """
        self._check(images)
        (logits,) = self._run([LOGITS], self._feeds(images, None))
        return logits

    def explain(
        self, images: UInt8[np.ndarray, "n c h w"], target: int | Int64[np.ndarray, " n"] | None = None
    ) -> tuple[Float32[np.ndarray, "n k"], Float32[np.ndarray, "n h w"]]:
        """Return the logits and the saliency maps, in one pass.

        Args:
            images: pixels 0..255 of the network's size.
            target: the class to explain, or one for each image; the predicted class when left out.

        Raises:
            UsageError: the file has no saliency output, the images are of another type or shape, or a target is no
                class.
        """
        if not self.explains:
            raise UsageError(
                "saliency: the ONNX file must return maps; got one without; export it with explain=True (`--explain`)"
            )
        self._check(images)
        logits, saliency = self._run([LOGITS, SALIENCY], self._feeds(images, target))
        return logits, saliency

    def _feeds(
        self, images: UInt8[np.ndarray, "n c h w"], target: int | Int64[np.ndarray, " n"] | None
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Return the inputs; files of version 1 have a default for the target."""
        if target is not None:
            return {IMAGE: images, TARGET: check_targets(target, len(images), len(self.classes)).reshape(-1)}
        return {IMAGE: images} | ({TARGET: np.array([PREDICTED])} if self._wants_target else {})

    def _run(self, names: list[str], feeds: dict[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """Return the outputs, which must be what the file says, and numbers."""
        try:
            outputs: list[np.ndarray[Any, Any]] = self._session.run(names, feeds)
        except Exception as error:
            # its errors derive from Exception alone
            raise ArtifactError(
                f"{self._source}: must run in ONNX Runtime; got: {short(error)}; export it again"
            ) from error
        size = (self.preprocessing.height, self.preprocessing.width)
        for name, values in zip(names, outputs, strict=True):
            shape = (len(feeds[IMAGE]), *(size if name == SALIENCY else (len(self.classes),)))
            if values.dtype != np.float32 or values.shape != shape:
                raise ArtifactError(
                    f"{self._source}: {name} must be float32 of shape {shape}; got {values.dtype} of shape "
                    f"{values.shape}; export it again"
                )
            if not np.isfinite(values).all():
                image = int(np.argwhere(~np.isfinite(values))[0, 0])
                raise ArtifactError(
                    f"{self._source}: {name} must be finite; got NaN or infinity for image {image}; export it again"
                )
        return outputs

    def _check(self, images: np.ndarray[Any, Any]) -> None:
        wanted = self.preprocessing
        shape = (wanted.channels, wanted.height, wanted.width)
        check_pixels(images, shape, empty=False)


@takes(model=MODEL, optimize=SWITCH)
def kernels(model: str | Path | bytes | onnx.ModelProto, *, optimize: bool = True) -> Counter[str]:
    """How often ONNX Runtime runs which operator on this machine, once it has rewritten the graph.

    Args:
        model: any ONNX file, its bytes, or the model itself.
        optimize: whether it may rewrite the graph.

    Raises:
        UsageError: a package of the extra is not installed.
        ArtifactError: ONNX Runtime cannot load the file.
    """
    onnx = need("onnx", "Counting kernels")
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "optimized.onnx"
        open_session(model, "the model", threads=1, optimize=optimize, written=written)
        return Counter(node.op_type for node in onnx.load(str(written)).graph.node)


def content(model: str | Path | bytes | onnx.ModelProto) -> bytes:
    """Return the bytes of a model.

    Raises:
        ArtifactError: the file cannot be read.
    """
    if isinstance(model, str | os.PathLike):
        return read_file(Path(model))
    return model if isinstance(model, bytes) else bytes(model.SerializeToString())


def open_session(
    model: str | Path | bytes | onnx.ModelProto,
    source: str,
    *,
    threads: int,
    optimize: bool,
    written: Path | None = None,
) -> Any:
    """Return a session of ONNX Runtime on the CPU.

    Args:
        model: any ONNX file, its bytes, or the model itself.
        source: what errors call it.
        threads: of one operator; 0 for as many as there are cores.
        optimize: whether ONNX Runtime may rewrite the graph.
        written: where to write the graph as rewritten.

    Raises:
        UsageError: a package of the extra is not installed.
        ArtifactError: ONNX Runtime cannot load the file, or parts of it are in other files.
    """
    ort = need("onnxruntime", "Running an ONNX file")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimize else level.ORT_DISABLE_ALL
    if written is not None:
        options.optimized_model_filepath = str(written)
    data = content(model)
    parsed(data, source)
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # its errors derive from Exception alone
        must = f"{source}: must load in ONNX Runtime {ort.__version__}"
        raise ArtifactError(f"{must}; got: {short(error)}; export it again") from error
