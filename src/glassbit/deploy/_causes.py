"""Why integers are far from fake quantization, in a sentence with the repair."""

from __future__ import annotations

from glassbit._count import counted
from glassbit.intgraph import EXACT, LARGEST_BIAS

from ._beside import Distance
from ._dyadic import power_of_two
from ._fold import Folding
from ._folded import Folded, FoldedLayer, FoldedReadout, FoldedRequantizer
from ._program import Activate

_HALF_A_PIXEL = 0.5
_ROUGH = 1 / 32
_LEVELS = 'start from calibrated clipping levels (calibrate_), or give the layer more bits (edges="8" for the last)'


def cause(tensor: Distance, folding: Folding) -> str:
    """Return what moved a tensor too far away.

    Args:
        tensor: the first whose distance is above its limit.
        folding: of the network, which has been run.
    """
    if tensor.what == "weights":
        return "The layer computes with other weights than its own; use plain layers"
    step = next(step for step in folding.run() if step.name == tensor.name)
    known = _of_padding(step, folding) or _of_the_level(step, folding) or _of_biases(step, folding, tensor)
    if known:
        return known
    place = f"between {tensor.previous} and {tensor.name}" if tensor.previous else f"up to {tensor.name}"
    return (
        f"Something that forward does {place} is missing from the integer network; make it a layer or a plain function "
        "of torch, or take it out"
    )


def _of_padding(step: Folded, folding: Folding) -> str:
    """Return what padding loses: in integers it is one pixel value for all channels."""
    normalization = folding.normalization
    pads = isinstance(step, FoldedLayer) and step.step.input in folding.from_image and any(step.step.padding)
    if not pads or max(map(abs, normalization.offset)) <= _HALF_A_PIXEL:
        return ""
    means = ", ".join(f"{255 * mean:.4g}" for mean in normalization.mean)
    shared = min(max(sum(normalization.mean) / len(normalization.mean), 0.0), 1.0)
    one = ", ".join([f"{shared:.2g}"] * len(normalization.mean)) + ("," if len(normalization.mean) == 1 else "")
    return (
        "Its padding is a normalised 0, the mean of each channel, and in integers that is one pixel value 0..255 for "
        f"all channels; got means of {means}. Give the Classifier one mean in [0, 1], such as mean=({one}), and train "
        "with it, or take out the padding of this layer"
    )


def _of_the_level(step: Folded, folding: Folding) -> str:
    """Return what a clipping level loses: a factor has 8 bits, from about 2^-16 to 255."""
    if not isinstance(step, FoldedRequantizer) or not isinstance(step.step, Activate):
        return ""
    read, out = folding.scales[step.step.input], folding.scales[step.name].step
    ratio = (read.step / out).view(1) if read.gain is None else read.gain * read.step / out
    factor, ratio = (step.multiplier * power_of_two(-step.exponent)).abs(), ratio.abs()
    shown = f"its clipping level of {float(out) * step.numbers.high:.4g}"
    if bool((factor / ratio.clamp(min=1e-300) > 1 + _ROUGH).any()):
        return f"Its codes are too coarse for what they are made of: {shown} is too large; {_LEVELS}"
    if bool((factor < ratio * (1 - _ROUGH)).any()):
        return f"Its codes are too fine for what they are made of: {shown} is too small; {_LEVELS}"
    return ""


def _of_biases(step: Folded, folding: Folding, tensor: Distance) -> str:
    """Biases are whole numbers of accumulator steps, at most 2^24 of them."""
    if not isinstance(step, FoldedRequantizer | FoldedReadout):
        return ""
    name = step.step.input
    read = folding.scales[name]
    unit = read.step if read.gain is None else read.step * read.gain.abs().max()
    large = step.bias.abs() >= (LARGEST_BIAS if isinstance(step, FoldedReadout) else EXACT)
    if bool(large.any()):
        return (
            f"The biases of {name} are too large for the steps of its accumulator ({float(unit):.3g}); they may be "
            f"{counted(LARGEST_BIAS if isinstance(step, FoldedReadout) else EXACT, 'step')}. Look for a layer that "
            "diverged or never fires, and start from calibrated clipping levels (calibrate_)"
        )
    if tensor.without_biases > tensor.limit:
        return ""
    return (
        f"The biases of {name} are about as small as one step of its accumulator ({float(unit):.3g}) or smaller, and "
        f"rounding them to whole steps loses them; {_LEVELS}"
    )
