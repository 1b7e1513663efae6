"""Quantized networks in integer arithmetic: training and evaluating in torch, and the graph that they become.

A network passes through four vocabularies, each in a file of its own. The layer `conv1` with 4-bit weights is in turn:

    symbol   `_symbols.py`  Accumulators("conv1", "conv1")             what a tensor of the forward pass holds
    step     `_program.py`  Weighted("conv1", "image", layer="conv1")  what the network does; no numbers
    folded   `_folded.py`   FoldedLayer(step, weights=W, bits=4, ...)  the step with its integers, as tensors that have
                            gradients; made anew for every forward pass
    node     `intgraph`     Conv("conv1", "image", Weights(codes, 4, "signed"))   frozen, in NumPy: what is shipped

    `_trace`, `_recorder`         watch the forward pass: quantized layers whole, everything else as functions of torch
    `_operations`, `_match`       functions -> symbols and steps            (once, when `Deployed` is made)
    `_shifts`                     how fine signed codes are                 (once, from the images)
    `_fold`                       steps -> folded steps: `Folding.run`      (every forward pass)
    `_execute`                    folded steps -> tensors
    `_intact`, `_fidelity`        refuse a model that computes something else, and say why (`_causes`)
    `_lower`                      folded steps -> nodes                     (once, when `lower` is called)

`Affine`, a BatchNorm or a product with a constant, computes nothing: the same integers stand for other values, which
the next requantizer takes into account. `Input` and what has no numbers of its own (`Pool`: max pools, flatten, ...) is
the same class in the last three vocabularies.
"""

from ._beside import Distance as Distance
from ._deployed import Deployed as Deployed
from ._deployed import distances as distances
from ._lower import lower as lower
from ._problems import export_problems as export_problems
from ._reestimate import reestimate_ as reestimate_
from ._torch_graph import TorchGraph as TorchGraph
