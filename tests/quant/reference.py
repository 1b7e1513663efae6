"""Slow twins of the quantizers in NumPy, written from the papers' equations, an array at a time, in float64.

Every `*_forward` returns `(values, codes, scale)` with `values == scale * (codes + offset)`; every `*_gradient`
takes the gradient of the loss with respect to the values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def pact_ratio(x: Array, alpha: float, bits: int) -> Array:
    """What 1805.06085 equation 2 rounds: y (2^k - 1) / alpha with y of equation 1."""
    y = 0.5 * (np.abs(x) - np.abs(x - alpha) + alpha)
    return y * (2**bits - 1) / alpha


def pact_forward(x: Array, alpha: float, bits: int) -> tuple[Array, Array, float]:
    """1805.06085 equations 1 and 2."""
    codes = np.round(pact_ratio(x, alpha, bits))
    scale = alpha / (2**bits - 1)
    return codes * scale, codes, scale


def pact_gradient(grad: Array, x: Array, alpha: float) -> tuple[Array, float]:
    """1805.06085 equation 3 for alpha, the straight-through estimator for x."""
    grad_x = np.zeros_like(grad)
    grad_alpha = 0.0
    for index in np.ndindex(x.shape):
        if x[index] >= alpha:
            grad_alpha += grad[index]
        elif x[index] > 0:
            grad_x[index] = grad[index]
    return grad_x, grad_alpha


def dorefa_ratio(w: Array, bits: int) -> Array:
    """What quantize_k of 1606.06160 equation 5 rounds inside equation 9."""
    largest = np.max(np.abs(np.tanh(w)))
    unit = np.tanh(w) / (2 * largest) + 0.5 if largest > 0 else np.full_like(w, 0.5)
    return unit * (2**bits - 1)


def dorefa_forward(w: Array, bits: int) -> tuple[Array, Array, float]:
    """1606.06160 equation 9; codes n stand for 2 n / (2^k - 1) - 1."""
    levels = 2**bits - 1
    codes = np.round(dorefa_ratio(w, bits))
    return 2 * codes / levels - 1, codes, 2 / levels


def dorefa_gradient(grad: Array, w: Array) -> Array:
    """1606.06160 equation 9 by the chain rule, quantize_k straight through (equation 6); the maximum must be unique."""
    t = np.tanh(w)
    top = np.unravel_index(np.argmax(np.abs(t)), t.shape)
    largest = np.abs(t[top])
    grad_t = grad / largest  # 2 r - 1 = t / largest
    grad_largest = -np.sum(grad * t) / largest**2
    grad_t[top] += grad_largest * np.sign(t[top])
    return grad_t * (1 - t**2)


SAWB_COEFFICIENTS = {2: (3.12, -2.064), 3: (7.509, -6.892), 4: (12.68, -12.80), 5: (17.74, -18.64), 8: (31.76, -35.04)}


def sawb_clip(w: Array, bits: int) -> float:
    """1807.06964: the clipping level from the first two moments; max|w| for a negative one, and at least at 8 bits."""
    c0, c1 = SAWB_COEFFICIENTS[bits]
    clip = c0 * np.sqrt(np.mean(w**2)) + c1 * np.mean(np.abs(w))
    return float(clip if clip > 0 and (bits < 8 or clip > np.max(np.abs(w))) else np.max(np.abs(w)))


def sawb_levels(clip: float, bits: int) -> Array:
    """{-c, -c/3, c/3, c} at 2 bits; above, 2^k - 1 evenly spaced levels from -c to c, with 0 among them."""
    if bits == 2:
        return np.array([-clip, -clip / 3, clip / 3, clip])
    half = 2 ** (bits - 1) - 1
    return np.arange(-half, half + 1) * clip / half


def sawb_forward(w: Array, bits: int) -> tuple[Array, Array, float]:
    """The nearest level of each weight."""
    levels = sawb_levels(sawb_clip(w, bits), bits)
    nearest = np.argmin(np.abs(w[..., None] - levels), axis=-1)
    codes = nearest - (0 if bits == 2 else len(levels) // 2)
    return levels[nearest], codes.astype(np.float64), float(levels[1] - levels[0])


def sawb_gradient(grad: Array) -> Array:
    """Straight through, the level counted as constant."""
    return grad


def lsq_range(bits: int, *, signed: bool) -> tuple[int, int]:
    """1902.08153 section 2: Q_N and Q_P."""
    return (2 ** (bits - 1), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def lsq_forward(v: Array, step: float, bits: int, *, signed: bool) -> tuple[Array, Array, float]:
    """1902.08153 equations 1 and 2."""
    q_n, q_p = lsq_range(bits, signed=signed)
    codes = np.round(np.clip(v / step, -q_n, q_p))
    return codes * step, codes, step


def lsq_gradient(grad: Array, v: Array, step: float, bits: int, *, signed: bool, n: int) -> tuple[Array, float]:
    """1902.08153 equation 3 with the gradient scale of section 2.2, and equation 5 for the values."""
    q_n, q_p = lsq_range(bits, signed=signed)
    grad_v = np.zeros_like(grad)
    grad_step = 0.0
    for index in np.ndindex(v.shape):
        ratio = v[index] / step
        if ratio <= -q_n:
            slope = -q_n
        elif ratio >= q_p:
            slope = q_p
        else:
            slope = np.round(ratio) - ratio
            grad_v[index] = grad[index]
        grad_step += grad[index] * slope
    return grad_v, grad_step / np.sqrt(n * q_p)
