"""Whether a network can be exported, asked before it is trained."""

from __future__ import annotations

import copy

from jaxtyping import Shaped
from torch import Tensor, nn

from glassbit._errors import ExportError, GraphError, UsageError
from glassbit._inputs import check_images, check_network
from glassbit._sound import why_not_copied
from glassbit.intgraph import IntGraph, Logits, Preprocessing
from glassbit.quant import quantizers

from ._deployed import Deployed
from ._lower import integer_nodes

_IMAGES = 2


def export_problems(model: nn.Module, images: Shaped[Tensor, "n c h w"]) -> tuple[str, ...]:
    """Everything in a network that has no form in integer arithmetic, by the names of its layers; empty if it can be
    exported.

    Nothing is trained and `model` is left as it is: a copy becomes a `Deployed` and its integers are checked, on two
    images. Clipping levels and statistics may be those of a fresh network; layers and functions are what counts. That
    steps are too coarse for biases is found by `Deployed` and `lower`, when the levels are trained.

    Args:
        model: as `Deployed` takes it, trained or not; one that is not quantized has that problem.
        images: uint8 or in [0, 1], of the size that it will be trained on; black ones will do.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from glassbit.quant import Plan, quantize_
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
        >>> _ = quantize_(network, Plan.named("w4a4"))
        >>> export_problems(network, torch.zeros(2, 1, 8, 8))
        ()
    """
    check_network("export_problems", model)
    images = check_images("export_problems", images, arrays=True, meta=False)
    if next(quantizers(model), None) is None:
        return ("the network is in full precision; choose a bit plan",)
    try:
        twin = copy.deepcopy(model)
    except Exception as error:  # noqa: BLE001 (a user's module may raise anything)
        return (f"{type(model).__name__}: cannot be copied; got {why_not_copied(error)}",)
    try:
        deployed = Deployed(twin, images[:_IMAGES], fresh=True).cpu().eval()
        nodes = integer_nodes(deployed)
        readout = nodes[-1]
        assert isinstance(readout, Logits)
        IntGraph(nodes, tuple(map(str, range(len(readout.bias)))), Preprocessing(*deployed.image_shape))
    except (ExportError, GraphError) as error:
        return error.problems
    except UsageError as error:
        return (str(error),)
    return ()
