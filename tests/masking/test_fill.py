"""What masked pixels are replaced with."""

import pytest
import torch

from glassbit._errors import UsageError
from glassbit.masking import Fill, fill, masked

IMAGES = torch.rand(3, 2, 5, 4, generator=torch.Generator().manual_seed(0)) + 1.0


def test_uniform_stays_in_the_range_of_each_image_and_channel() -> None:
    images = IMAGES * torch.tensor([1.0, 10.0]).view(1, 2, 1, 1)
    values = torch.cat([fill(images, "uniform").flatten(2) for _ in range(200)], 2)
    low, high = images.flatten(2).amin(2), images.flatten(2).amax(2)
    assert (values.amin(2) >= low).all()
    assert (values.amax(2) <= high).all()
    assert torch.allclose(values.mean(2), (low + high) / 2, rtol=0.05)


def test_mean_is_the_channels_own() -> None:
    assert torch.equal(fill(IMAGES, "mean")[1, 0, 0, 0], IMAGES[1, 0].mean())


def test_constant_is_the_top_left_pixel() -> None:
    assert torch.equal(fill(IMAGES, "constant")[:, :, 0, 0], IMAGES[:, :, 0, 0])


def test_masked_replaces_all_channels_of_a_pixel_and_no_other() -> None:
    mask = torch.zeros(3, 20, dtype=torch.bool)
    mask[0, 7] = True
    result = masked(IMAGES, mask, "mean")
    changed = (result != IMAGES).flatten(2)
    assert changed.nonzero().tolist() == [[0, 0, 7], [0, 1, 7]]


def test_an_unknown_fill_is_refused() -> None:
    with pytest.raises(UsageError, match="fill: kind must be one of uniform, mean, constant; got 'grey'"):
        fill(IMAGES, "grey")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["uniform", "mean", "constant"])
@pytest.mark.parametrize("channels", [1, 3])
def test_masked_images_lie_in_memory_as_the_images_do(kind: Fill, channels: int) -> None:
    images = torch.rand(2, 4, 5, channels).permute(0, 3, 1, 2)
    mask = torch.rand(2, 20) < 0.5
    assert masked(images, mask, kind).stride() == images.stride()
