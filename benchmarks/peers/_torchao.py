"""In torchao's own environment: ResNet-20 through its export flow, for training and as integers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchao.quantization.pt2e import move_exported_model_to_eval, move_exported_model_to_train
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e
from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
    X86InductorQuantizer,
    get_default_x86_inductor_quantization_config,
)


def prepared(network: nn.Module, images: Tensor) -> nn.Module:
    """The network with fake quantizers of 8 bits, ready to train on batches of the shape of `images`."""
    exported = torch.export.export(network, (images,), strict=True).module()
    made: nn.Module = prepare_qat_pt2e(exported, _quantizer(is_qat=True))
    move_exported_model_to_train(made)
    return made


def converted(network: nn.Module, images: Tensor) -> Callable[[Tensor], Tensor]:
    """The network in 8 bits, calibrated on `images` and compiled for batches of their shape."""
    exported = torch.export.export(network.eval(), (images,), strict=True).module()
    observed = prepare_pt2e(exported, _quantizer(is_qat=False))
    observed(images)
    integer = convert_pt2e(observed)
    move_exported_model_to_eval(integer)
    compiled: Callable[[Tensor], Tensor] = torch.compile(integer)
    return compiled


def _quantizer(*, is_qat: bool) -> X86InductorQuantizer:
    configuration = get_default_x86_inductor_quantization_config(is_qat=is_qat)
    return X86InductorQuantizer().set_global(configuration)
