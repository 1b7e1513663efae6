"""Muon: against torch's own on matrices, what it makes orthogonal, and which weights it takes."""

import pytest
import torch
from torch import nn

from glassbit import models
from glassbit.quant import Plan, quantize_
from glassbit.train import CrossEntropy, Muon
from glassbit.train._muon import orthogonal
from glassbit.train._optimizer import make_optimizer, parameter_groups

SHAPES = [(16, 27), (64, 576), (64, 576), (96, 32), (32, 32)]


@pytest.mark.parametrize("shape", [(16, 27), (64, 576), (96, 32)])
def test_singular_values_come_near_one_and_singular_vectors_stay(shape: tuple[int, int]) -> None:
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    turned = left.mT @ orthogonal(matrices) @ right.mT
    assert (turned.diagonal(dim1=1, dim2=2) - 0.95).abs().max() < 0.3
    assert (turned - torch.diag_embed(turned.diagonal(dim1=1, dim2=2))).abs().max() < 1e-4


def test_updates_are_those_of_torch_s_own_on_matrices() -> None:
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    theirs = [nn.Parameter(weight.detach().clone()) for weight in ours]
    one = Muon([{"params": ours, "matrices": True, "weight_decay": 0.01}], lr=0.2, momentum=0.8)
    other = torch.optim.Muon(theirs, lr=0.2 * 0.2, weight_decay=0.01 / 0.2**2, momentum=0.8)
    before = [weight.detach().clone() for weight in ours]
    for _ in range(4):
        for left, right in zip(ours, theirs, strict=True):
            left.grad = torch.randn_like(left)
            right.grad = left.grad.clone()
        one.step()
        other.step()
    for left, right, start in zip(ours, theirs, before, strict=True):
        assert (left - right).norm() < 0.02 * (right - start).norm()  # theirs is computed in bfloat16


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_convolution_is_a_matrix_with_a_row_an_output(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    matrix = nn.Parameter(torch.randn(8, 4 * 9))
    weight = nn.Parameter(matrix.detach().view(8, 4, 3, 3).to(memory_format=layout, copy=True))
    matrix.grad = torch.randn_like(matrix)
    weight.grad = matrix.grad.view_as(weight).to(memory_format=layout, copy=True)
    for parameter in (matrix, weight):
        Muon([{"params": [parameter], "matrices": True}]).step()
    assert torch.equal(weight.flatten(1), matrix)


def test_vectors_and_the_last_layer_are_updated_by_sgd() -> None:
    torch.manual_seed(0)
    found = []
    for kind in ("muon", "sgd"):
        torch.manual_seed(0)
        network = models.cnn_bn(width=4)
        quantize_(network, Plan.named("w4a4", weights="lsq", activations="pact"))
        objective = CrossEntropy(network)
        groups = parameter_groups(objective, kind, lr=0.01, weight_decay=0.1, quantizer_lr=0.002, quantizer_decay=None)
        optimizer = make_optimizer(groups, kind, 0.9)
        objective(torch.randint(256, (8, 1, 28, 28), dtype=torch.uint8), torch.arange(8)).total.backward()
        optimizer.step()
        found.append(dict(network.named_parameters()))
    convolutions = {name for name, parameter in found[0].items() if parameter.ndim == 4}
    assert len(convolutions) == 4
    assert {name for name in found[0] if not torch.equal(found[0][name], found[1][name])} == convolutions


def test_a_closure_gives_the_gradients() -> None:
    weight = nn.Parameter(torch.eye(3))
    optimizer = Muon([{"params": [weight], "matrices": True, "weight_decay": 0.0}], lr=0.1)

    def closure() -> torch.Tensor:
        loss = weight.diagonal().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 3
    assert (weight.diagonal() < 1).all()
    assert weight.grad is None


def test_a_step_reads_no_number_from_the_device() -> None:
    weights = [nn.Parameter(torch.randn(8, 4, 3, 3, device="meta")) for _ in range(2)]
    optimizer = Muon([{"params": weights, "matrices": True}])
    for _ in range(2):
        for weight in weights:
            weight.grad = torch.randn_like(weight)
        optimizer.step()
