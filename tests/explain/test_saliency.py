"""What holds for every method, on float and on quantized networks."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit.explain import METHODS, saliency
from glassbit.models import to_unit

QUANTIZED = [None, "w2a2"]
TARGETS = torch.tensor([0, 1, 2, 0, 1])


@pytest.mark.parametrize("quantized", QUANTIZED)
@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_a_map_an_image_finite_and_not_negative(self, make, images, method, quantized) -> None:
        maps = saliency(make(quantized=quantized), images, TARGETS, method=method)
        assert maps.shape == (5, 12, 10)
        assert maps.dtype == torch.float32
        assert not maps.requires_grad
        assert maps.isfinite().all()
        assert (maps >= 0).all()
        assert maps.any()

    def test_bytes_and_floats_are_the_same_images(self, make, images, method, quantized) -> None:
        model = make(quantized=quantized)
        assert torch.equal(
            saliency(model, images, 1, method=method), saliency(model, to_unit(images), 1, method=method)
        )

    def test_targets_may_be_one_class_a_class_an_image_or_the_prediction(self, make, images, method, quantized) -> None:
        model = make(quantized=quantized)
        predicted = copy.deepcopy(model).eval()(images).argmax(1)
        every = torch.stack([saliency(model, images, target, method=method) for target in range(3)])
        rows = torch.arange(5)
        for target in (TARGETS, TARGETS.to(torch.uint8)):
            assert torch.equal(saliency(model, images, target, method=method), every[TARGETS, rows])
        assert torch.equal(saliency(model, images, None, method=method), every[predicted, rows])

    def test_images_do_not_see_each_other(self, make, images, method, quantized) -> None:
        model = make(quantized=quantized)
        whole = saliency(model, images, TARGETS, method=method)
        assert torch.allclose(whole, saliency(model, images, TARGETS, method=method, batch=2), rtol=1e-4, atol=1e-5)
        for i in (0, 3):
            alone = saliency(model, images[i : i + 1], int(TARGETS[i]), method=method, batch=1)
            assert torch.allclose(whole[i : i + 1], alone, rtol=1e-4, atol=1e-5)

    def test_nothing_is_left_behind(self, make, images, method, quantized) -> None:
        model = make(quantized=quantized).train()
        model.network[1].eval()
        parameters = list(model.parameters())
        parameters[0].requires_grad_(False)
        parameters[-1].grad = torch.ones_like(parameters[-1])
        state = {name: value.clone() for name, value in model.state_dict().items()}
        found = [
            (module.training, len(module._forward_hooks), len(module._backward_hooks)) for module in model.modules()
        ]
        flags = [parameter.requires_grad for parameter in parameters]
        grads = [parameter.grad for parameter in parameters]
        x = to_unit(images)
        before = x.clone()
        generators = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        saliency(model, x, TARGETS, method=method)
        after = [
            (module.training, len(module._forward_hooks), len(module._backward_hooks)) for module in model.modules()
        ]
        assert after == found
        assert [parameter.requires_grad for parameter in parameters] == flags
        assert all(parameter.grad is grad for parameter, grad in zip(parameters, grads, strict=True))
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        assert torch.equal(x, before)
        assert not x.requires_grad
        assert torch.equal(torch.get_rng_state(), generators[0])
        assert np.array_equal(np.random.get_state()[1], generators[1])  # noqa: NPY002

    @pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, torch.enable_grad])
    def test_what_surrounds_it_does_not_matter(self, make, images, method, quantized, around) -> None:
        model = make(quantized=quantized)
        with around():
            inside = saliency(model, images * 1, TARGETS, method=method)
        assert torch.equal(inside, saliency(model, images, TARGETS, method=method))

    @pytest.mark.parametrize("channels", [1, 3, 5])
    def test_any_number_of_channels(self, make, method, quantized, channels) -> None:
        images = torch.randint(256, (2, channels, 12, 10), dtype=torch.uint8)
        assert saliency(make(channels=channels, quantized=quantized), images, 0, method=method).shape == (2, 12, 10)

    def test_no_images_give_no_maps(self, make, images, method, quantized) -> None:
        assert saliency(make(quantized=quantized), images[:0], method=method).shape == (0, 12, 10)


@pytest.mark.parametrize("method", METHODS)
def test_double_precision_stays_double(make, images, method) -> None:
    maps = saliency(make(smooth=True).double(), images, 1, method=method)
    assert maps.dtype == torch.float64
    assert torch.allclose(maps.float(), saliency(make(smooth=True), images, 1, method=method), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_networks_give_single_precision_maps(make, images, method) -> None:
    maps = saliency(make(smooth=True).bfloat16(), images, 1, method=method)
    assert maps.dtype == torch.float32
    assert maps.isfinite().all()


class Raising(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 12)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls > 2:
            raise RuntimeError("out of memory")
        return self.conv(nn.functional.pad(x, (1, 1))).flatten(1)


def test_the_modes_come_back_after_an_error() -> None:
    model = Raising()
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="out of memory"):
        saliency(model, torch.zeros(3, 2, 12, 10), 0, batch=1)
    assert model.training
    assert model.conv.training
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("target", "got"),
    [
        (3, "got 3"),
        (-1, "got -1"),
        (True, "got True"),
        (torch.tensor([0, 1, 2, 3, 0]), "got 3"),
        (torch.tensor([0, -2, 2, 0, 0]), "got -2"),
        (torch.tensor([0, 1]), r"got int64 \(2,\)"),
        (np.array([0, 1, 2, 3, 0]), "got 3"),
        (np.int64(-1), "got -1"),
        ([0, 1, 2, 0, 1], r"got \[0, 1, 2, 0, 1\]"),
        (torch.tensor([0.0, 1, 2, 0, 1]), r"got torch.float32 \(5,\)"),
    ],
)
def test_a_bad_target_is_named(unchecked, make, images, target, got) -> None:
    text = rf"target must be a class 0..2, or one per image as integers \(5,\), or None; {got}"
    with pytest.raises(UsageError, match=text):
        saliency(make(), images, target)


def test_a_network_that_returns_no_logits_is_named(images) -> None:
    with pytest.raises(UsageError, match=r"must return logits \(n, classes\); got \(1, 2, 12, 10\) for one image"):
        saliency(nn.Identity(), images.float() / 255)


def test_a_network_that_cuts_its_graph_is_named_and_occlusion_still_works(make, images) -> None:
    class Deployed(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        @torch.no_grad()
        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    model = Deployed(make())
    for method in ("gradient", "smoothgrad"):
        with pytest.raises(UsageError, match=r"must have a gradient to the image; got .*occlusion"):
            saliency(model, images, 0, method=method)
    assert torch.equal(saliency(model, images, 0, method="occlusion"), saliency(make(), images, 0, method="occlusion"))


def test_a_batch_of_none_is_refused(make, images) -> None:
    with pytest.raises(UsageError, match="batch must be at least 1 image; got 0"):
        saliency(make(), images, batch=0)
