"""An exported network in ONNX Runtime."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from glassbit._errors import ArtifactError, UsageError
from glassbit.intgraph import Preprocessing

from ._extras import need
from ._names import FORMAT, IMAGE, LOGITS, PREDICTED, READ_VERSIONS, SALIENCY, TARGET

if TYPE_CHECKING:
    import onnx


class Session:
    """An ONNX file of `export_onnx`, ready to run on this machine's CPU.

    Args:
        model: the file, its bytes, or the model itself.
        threads: of one operator; 0 for as many as there are cores.
        optimize: whether ONNX Runtime may rewrite the graph; the logits do not depend on it.

    Raises:
        UsageError: the package onnxruntime is not installed.
        ArtifactError: ONNX Runtime cannot load the file, or `export_onnx` has not written it.
    """

    def __init__(self, model: str | Path | bytes | onnx.ModelProto, *, threads: int = 1, optimize: bool = True) -> None:
        source = str(model) if isinstance(model, str | Path) else "the model"
        self._session = open_session(model, source, threads=threads, optimize=optimize)
        metadata = self._session.get_modelmeta().custom_metadata_map
        if metadata.get("format") != FORMAT:
            raise ArtifactError(f"{source}: not an ONNX file that Glassbit has written; `glassbit export` writes them")
        if metadata.get("format_version") not in READ_VERSIONS:
            raise ArtifactError(
                f"{source}: has the format version {metadata.get('format_version')}; this Glassbit reads "
                f"{' and '.join(READ_VERSIONS)}; install a newer one"
            )
        self.metadata: dict[str, str] = metadata
        try:
            self.classes: tuple[str, ...] = tuple(json.loads(metadata["classes"]))
            self.preprocessing = Preprocessing(**json.loads(metadata["preprocessing"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{source}: its classes or preprocessing are damaged; export it again") from error
        self.explains: bool = SALIENCY in {output.name for output in self._session.get_outputs()}
        """Whether the file returns saliency maps."""
        self._wants_target = TARGET in {given.name for given in self._session.get_inputs()}

    def run(self, images: UInt8[np.ndarray, "n c h w"]) -> Float32[np.ndarray, "n k"]:
        """The logits.

        Args:
            images: pixels 0..255 of the network's size.

        Raises:
            UsageError: the images are of another type or shape.
        """
        self._check(images)
        logits: np.ndarray[Any, Any] = self._session.run([LOGITS], self._feeds(images, None))[0]
        return logits

    def explain(
        self, images: UInt8[np.ndarray, "n c h w"], target: int | Int64[np.ndarray, " n"] | None = None
    ) -> tuple[Float32[np.ndarray, "n k"], Float32[np.ndarray, "n h w"]]:
        """The logits and the saliency maps, in one pass.

        Args:
            images: pixels 0..255 of the network's size.
            target: the class to explain, or one for each image; the predicted class when left out.

        Raises:
            UsageError: the file has no saliency output, the images are of another type or shape, or a target is no
                class.
        """
        if not self.explains:
            raise UsageError("this ONNX file returns no saliency map; export it with explain=True (`--explain`)")
        self._check(images)
        logits, saliency = self._session.run([LOGITS, SALIENCY], self._feeds(images, target))
        return logits, saliency

    def _feeds(
        self, images: UInt8[np.ndarray, "n c h w"], target: int | Int64[np.ndarray, " n"] | None
    ) -> dict[str, np.ndarray[Any, Any]]:
        """The inputs; files of version 1 have a default for the target."""
        if target is not None:
            return {IMAGE: images, TARGET: self._targets(target, len(images))}
        return {IMAGE: images} | ({TARGET: np.array([PREDICTED])} if self._wants_target else {})

    def _check(self, images: np.ndarray[Any, Any]) -> None:
        wanted = self.preprocessing
        shape = (wanted.channels, wanted.height, wanted.width)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape or not len(images):
            raise UsageError(
                f"images must be uint8 of shape (n, {', '.join(map(str, shape))}), n at least 1; "
                f"got {images.dtype} of shape {images.shape}"
            )

    def _targets(self, target: int | Int64[np.ndarray, " n"], images: int) -> Int64[np.ndarray, " t"]:
        given = np.asarray(target)
        if given.dtype.kind not in "iu" or given.shape not in ((), (images,)):
            raise UsageError(
                f"target must be a class number, or {images}, one an image; got {given.dtype} of shape {given.shape}"
            )
        wrong = [int(number) for number in given.ravel() if not 0 <= number < len(self.classes)]
        if wrong:
            raise UsageError(f"target must be a class number, 0..{len(self.classes) - 1}; got {wrong[0]}")
        return given.reshape(-1).astype(np.int64)


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


def read_file(path: Path) -> bytes:
    """The content of a file.

    Raises:
        ArtifactError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from error


def open_session(
    model: str | Path | bytes | onnx.ModelProto,
    source: str,
    *,
    threads: int,
    optimize: bool,
    written: Path | None = None,
) -> Any:
    """A session of ONNX Runtime on the CPU.

    Args:
        model: any ONNX file, its bytes, or the model itself.
        source: what errors call it.
        threads: of one operator; 0 for as many as there are cores.
        optimize: whether ONNX Runtime may rewrite the graph.
        written: where to write the graph as rewritten.

    Raises:
        UsageError: the package onnxruntime is not installed.
        ArtifactError: ONNX Runtime cannot load the file.
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
    if isinstance(model, str | Path):
        data = read_file(Path(model))
    else:
        data = model if isinstance(model, bytes) else model.SerializeToString()
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # its errors derive from Exception alone
        raise ArtifactError(f"{source}: ONNX Runtime {ort.__version__} cannot load it: {error}") from error
