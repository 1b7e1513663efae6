"""How alike two maps of the same image are, and the two maps between which that must be read."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int64, UInt8
from scipy.stats import rankdata
from torch import Tensor

from glassbit._errors import UsageError
from glassbit._random import derive
from glassbit._takes import WHOLE, number, takes
from glassbit.evidence import Agreement
from glassbit.masking import highest

from ._images import SUBJECT, check_asked
from ._maps import MAPS
from ._subject import Subject

WINDOW = 7
_C1, _C2 = 0.01**2, 0.03**2
_TOP = 0.1
_CHUNK = 100


@takes(a=MAPS, b=MAPS, seed=WHOLE)
def agreement(a: Float[np.ndarray, "n h w"], b: Float[np.ndarray, "n h w"], *, seed: int = 0) -> Agreement:
    """Compare two networks' maps, image by image.

        spearman   correlation of the pixels' ranks; equal pixels share their mean rank
        ssim       mean over the pixels of (2 ma mb + C1)(2 cab + C2) / ((ma^2 + mb^2 + C1)(va + vb + C2)), C1 = 0.01^2,
                   C2 = 0.03^2, with means m, variances v and covariance c in a uniform 7 x 7 window; beyond the border
                   the map is mirrored
        iou        |A and B| / |A or B|, A and B the round(p / 10) highest of p pixels

    None of them depends on how large a map's values are. For SSIM, which does, each map is first brought to [0, 1] as
    it is drawn: its 99th percentile becomes 1, and what is above is cut. Divided by its maximum instead, a map with one
    bright pixel would be dark everywhere else, and all dark maps are alike to SSIM.

    Which of equal pixels are among the highest is drawn, for `a` and `b` apart, so that ties never agree by themselves;
    a map with ties at that edge has less than 1 in common with itself.

    Args:
        a, b: maps >= 0 of the same images.
        seed: of the ties.

    Returns:
        One value per image, NaN where `a` or `b` is constant or not finite.

    Raises:
        UsageError: the maps are smaller than the window of SSIM, or of different shapes.

    Spearman 1904; Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity",
    equation 13, with the window of their earlier work. Adebayo et al. 2018 (arXiv 1810.03292) compare maps by the first
    two.
    """
    _check_alike("agreement", a, b)
    if min(a.shape[1:]) < WINDOW:
        size = f"{a.shape[1]} x {a.shape[2]}"
        raise UsageError(
            f"agreement: maps must have at least {WINDOW} x {WINDOW} pixels, the window of SSIM; got {size}"
        )
    ties = torch.Generator().manual_seed(derive("agreement ties", seed))
    similarities = np.full((3, len(a)), np.nan)
    for start in range(0, len(a), _CHUNK):
        x, y = (maps[start : start + _CHUNK].astype(np.float64) for maps in (a, b))
        places = start + np.flatnonzero(_varied(x) & _varied(y))
        x, y = x[places - start], y[places - start]
        if len(places):
            similarities[:, places] = spearman(x, y), _ssim(x, y), _iou(x, y, ties)
    return Agreement(*similarities)


@takes(a=MAPS, b=MAPS)
def spearman(a: Float[np.ndarray, "n h w"], b: Float[np.ndarray, "n h w"]) -> Float64[np.ndarray, " n"]:
    """Return the rank correlation of each image's pixels.

    Equal pixels share their mean rank. It is NaN where a map is constant or not finite.
    """
    _check_alike("spearman", a, b)
    ranked = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (a, b)]
    x, y = (ranks - ranks.mean(1, keepdims=True) for ranks in ranked)
    size = np.sqrt((x**2).sum(1) * (y**2).sum(1))
    known = _varied(a) & _varied(b)
    correlation: Float64[np.ndarray, " n"] = np.divide((x * y).sum(1), size, out=np.full(len(a), np.nan), where=known)
    return correlation


@takes(subject=SUBJECT, sd=number(0, 1, usual=0.02), seed=WHOLE)
def noisy_maps(
    subject: Subject,
    images: UInt8[Tensor, "n c h w"],
    targets: Int64[Tensor, " n"],
    *,
    sd: float = 0.02,
    seed: int = 0,
) -> Float[np.ndarray, "n h w"]:
    """Return a network's maps of noisy images. Their `agreement` with the clean maps is the ceiling.

    Args:
        subject: the network.
        images: to which noise is added, clipped and rounded to 8 bits.
        targets: the class that each map explains.
        sd: of the noise, in units of [0, 1].
        seed: of the noise, which is the same for every network.

    Raises:
        UsageError: images that are not uint8, or a subject that has no maps.
    """
    targets = check_asked("noisy_maps", subject, images, targets)
    generator = torch.Generator().manual_seed(derive("agreement noise", seed))
    noisy = torch.empty_like(images)
    for image, with_noise in zip(images, noisy, strict=True):
        noise = torch.randn(image.shape, generator=generator)
        with_noise.copy_((image + 255 * sd * noise).round().clamp(0, 255))
    maps: Float[np.ndarray, "n h w"] = subject.saliency(noisy, targets).numpy()
    return maps


@takes(maps=MAPS, seed=WHOLE)
def random_maps(maps: Float[np.ndarray, "n h w"], *, seed: int = 0) -> Float[np.ndarray, "n h w"]:
    """Each map with its pixels in random order: what `agreement` gives to maps that have nothing to do with each
    other.

    Args:
        maps: of any network.
        seed: of the order.
    """
    generator = np.random.default_rng(derive("random maps", seed))
    return generator.permuted(maps.reshape(len(maps), -1), axis=1).reshape(maps.shape)


def _check_alike(metric: str, a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape or 0 in a.shape[1:]:
        raise UsageError(
            f"{metric}: a and b must have one shape (n, h, w); got {a.shape} and {b.shape}; "
            "pass maps of the same images"
        )


def _varied(maps: Float[np.ndarray, "n h w"]) -> Bool[np.ndarray, " n"]:
    flat = maps.reshape(len(maps), -1)
    varied: Bool[np.ndarray, " n"] = np.isfinite(flat).all(1) & (flat != flat[:, :1]).any(1)
    return varied


def _ssim(a: Float64[np.ndarray, "n h w"], b: Float64[np.ndarray, "n h w"]) -> Float64[np.ndarray, " n"]:
    edge = 4 * [WINDOW // 2]
    x, y = (F.pad(torch.from_numpy(_shown(maps))[:, None], edge, mode="reflect") for maps in (a, b))
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    variance_x = (_window_mean(x * x) - mean_x.square()).clamp(min=0)
    variance_y = (_window_mean(y * y) - mean_y.square()).clamp(min=0)
    covariance = _window_mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x.square() + mean_y.square() + _C1)
    structure = (2 * covariance + _C2) / (variance_x + variance_y + _C2)
    return (luminance * structure).mean((1, 2, 3)).numpy()


def _window_mean(values: Float64[Tensor, "n 1 h w"]) -> Float64[Tensor, "n 1 H W"]:
    return F.avg_pool2d(values, WINDOW, stride=1)


def _shown(maps: Float64[np.ndarray, "n h w"]) -> Float64[np.ndarray, "n h w"]:
    """Each map between 0 and 1 as `glassbit.pictures` draws it."""
    top = np.percentile(maps, 99, axis=(1, 2), keepdims=True)
    shown: Float64[np.ndarray, "n h w"] = np.clip(
        maps / np.where(top > 0, top, maps.max((1, 2), keepdims=True)), 0.0, 1.0
    )
    return shown


def _iou(
    a: Float64[np.ndarray, "n h w"], b: Float64[np.ndarray, "n h w"], ties: torch.Generator
) -> Float64[np.ndarray, " n"]:
    count = round(_TOP * a[0].size)
    x, y = (highest(torch.from_numpy(maps).flatten(1), count, generator=ties) for maps in (a, b))
    return ((x & y).sum(1).double() / (x | y).sum(1)).numpy()
