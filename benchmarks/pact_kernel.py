"""What the PACT kernel costs: a training step of ResNet-20 with PACT activations over one in full precision.

    python benchmarks/pact_kernel.py --threads 2 --steps 30

Three networks with the same weights take turns in one process, so that whatever else the machine does hits all of them:
full precision; the same with `glassbit.PACT` in place of every ReLU; the same with the formula of the paper in plain
operations, straight through the rounding. Weights stay in full precision, to time nothing but activations.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassbit import models
from glassbit.quant import Plan, Rule, quantize_


class PaperPACT(nn.Module):
    """0.5 (|x| - |x - a| + a) and round, an operation at a time."""

    def __init__(self, bits: int, alpha: float) -> None:
        super().__init__()
        self.levels = 2**bits - 1
        self.alpha = nn.Parameter(torch.tensor(alpha))

    def forward(self, x: Tensor) -> Tensor:
        """Activations to quantized activations."""
        y = 0.5 * (x.abs() - (x - self.alpha).abs() + self.alpha)
        scale = self.levels / self.alpha.detach()
        return y + ((y.detach() * scale).round() / scale - y.detach())


def paper_activations_(model: nn.Module, bits: int, alpha: float) -> None:
    """Put the formula of the paper in the place of every ReLU."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.ReLU:
                setattr(parent, name, PaperPACT(bits, alpha))


def arms(bits: int, alpha: float) -> dict[str, nn.Module]:
    """The three networks, with the same weights."""
    torch.manual_seed(0)
    full = models.resnet20()
    ours, paper = copy.deepcopy(full), copy.deepcopy(full)
    quantize_(ours, Plan("activations", (Rule("*", 32, bits),), edges="same", alpha=alpha))
    paper_activations_(paper, bits, alpha)
    return {"fp32": full, "glassbit.PACT": ours, "paper form, eager": paper}


def stepper(model: nn.Module, images: Tensor, labels: Tensor, *, bf16: bool) -> Callable[[], None]:
    """One whole training step as a function, finished when it returns."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=2e-4)
    device = images.device.type

    def step() -> None:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
            loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each network (default 20)")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them (default 2)")
    parser.add_argument("--batch", type=int, default=128, help="images per step (default 128)")
    parser.add_argument("--size", type=int, default=32, help="pixels per side (default 32)")
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--alpha", type=float, default=3.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="under bfloat16 autocast")
    parser.add_argument("--channels-last", action="store_true")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(options.batch, 3, options.size, options.size, generator=generator)
    images = images.to(options.device).contiguous(memory_format=layout)
    labels = torch.randint(10, (options.batch,), generator=generator).to(options.device)
    steps = {
        name: stepper(model.to(options.device, memory_format=layout), images, labels, bf16=options.bf16)
        for name, model in arms(options.bits, options.alpha).items()
    }
    for step in steps.values():
        for _ in range(options.warmup):
            step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    names = list(steps)
    for turn in range(options.steps):
        for name in (*names[turn % len(names) :], *names[: turn % len(names)]):
            start = time.perf_counter()
            steps[name]()
            seconds[name].append(time.perf_counter() - start)

    device = torch.cuda.get_device_name() if options.device.startswith("cuda") else processor()
    arithmetic = "bf16 autocast" if options.bf16 else "float32"
    layout_name = "channels_last" if options.channels_last else "contiguous"
    print(
        f"resnet20, batch {options.batch}, {options.size} x {options.size}, {options.bits} bits, "
        f"{layout_name}, {arithmetic}"
    )
    print(f"{device}, {options.threads} thread(s) of {os.cpu_count()} cores")
    print(f"Python {platform.python_version()}, torch {torch.__version__}")
    print(f"{options.steps} steps each, in turns; ratios of the same turn: median (lower..upper quartile)\n")
    print(f"{'network':<20}{'median ms':>12}{'ratio to fp32':>26}")
    for name, times in seconds.items():
        ratios = [time / base for time, base in zip(times, seconds["fp32"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        print(f"{name:<20}{1e3 * statistics.median(times):>12.1f}{middle:>12.3f} ({low:.3f}..{high:.3f})")


def processor() -> str:
    """The name of the CPU, as far as the system tells."""
    path = Path("/proc/cpuinfo")
    listing = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    lines = [line.partition(":")[2].strip() for line in listing if line.startswith("model name")]
    return next(iter(lines), platform.processor() or platform.machine())


if __name__ == "__main__":
    main()
