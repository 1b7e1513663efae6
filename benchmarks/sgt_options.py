"""What the options of saliency-guided training do to accuracy and faithfulness: the measurement behind its defaults.

    python benchmarks/sgt_options.py --out runs/sgt-options --seeds 0 1 2 --jobs 2

Trains cnn-bn on the embedded images, full precision, with every combination of `gradient` and `batchnorm`, beside
cross-entropy and random masking. Prints a Markdown table: test accuracy, and the area between the random-order and
the salient-first masking curve (higher is more faithful), for two fills that training does not use. Finished runs are
kept.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from glassbit._files import read_json
from glassbit.recipe import parse
from glassbit.study import run_study

RECIPE = """
name: {name}
data: {data}
model: cnn-bn
arms: [{arm}]
seeds: [{seeds}]
training: {{epochs: {epochs}, batch_size: 64, optimizer: adamw, lr: 0.004, weight_decay: 0.01, flip: true}}
evaluation: {{every: 1000}}
{options}
"""


def variants() -> dict[str, tuple[str, str]]:
    """(arm, options) by name."""
    found = {"cross-entropy": ("fp32", "")}
    for batchnorm in ("clean", "both", "eval"):
        found[f"random, {batchnorm}"] = ("random", f"random: {{batchnorm: {batchnorm}}}")
        for gradient in ("shared", "separate"):
            options = f"sgt: {{gradient: {gradient}, batchnorm: {batchnorm}}}"
            found[f"sgt, {gradient}, {batchnorm}"] = ("sgt", options)
    return found


def area(result: dict[str, Any], fill: str) -> float:
    """Between the random-order and the salient-first curve, as a share of accuracy times a share of pixels."""
    curves = result["masking"]["accuracy"][fill]
    difference = np.asarray(curves["random"]) - np.asarray(curves["salient"])
    return float(np.trapezoid(difference, result["masking"]["fractions"]))


def shown(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{statistics.mean(values):.3f} +- {statistics.stdev(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/sgt-options"))
    parser.add_argument("--data", default="fashion-mini")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    print(f"{options.data}, {options.epochs} epochs, n = {len(options.seeds)} seeds, torch {torch.__version__}\n")
    print("| variant | test accuracy, % | area, constant | area, mean | s an epoch |\n|---|---|---|---|---|")
    for name, (arm, extra) in variants().items():
        slug = name.replace(", ", "-")
        text = RECIPE.format(
            name=slug,
            data=options.data,
            arm=arm,
            seeds=", ".join(map(str, options.seeds)),
            epochs=options.epochs,
            options=extra,
        )
        folder = options.out / slug
        outcome = run_study(parse(text, slug), folder, text=text, processes=options.jobs, progress=False)
        if not outcome.ok:
            sys.exit(str(outcome.failed))
        results = [read_json(folder / "runs" / run / "result.json") for run in outcome.runs]
        accuracy = shown([100 * result["test"]["accuracy"] for result in results])
        areas = [shown([area(result, fill) for result in results]) for fill in ("constant", "mean")]
        seconds = statistics.mean(result["train_seconds"] / result["epochs"] for result in results)
        print(f"| {name} | {accuracy} | {' | '.join(areas)} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
