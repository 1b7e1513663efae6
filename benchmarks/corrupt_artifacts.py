"""Damage the file of a network at many places, and load it each time: every one is refused, or exit status 1.

    python benchmarks/corrupt_artifacts.py --places 10000

Flips single bits, cuts, extends, overwrites, blanks and moves parts; also random bytes behind a true beginning. Without
`--file` the network is a small one with random weights.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors

from glassbit._errors import ArtifactError, GlassbitError
from glassbit.intgraph import Conv, Flatten, Input, IntGraph, Linear, Logits, Preprocessing, Requantize, Weights, load

Damage = Callable[[bytes, random.Random], bytes]


def network() -> IntGraph:
    """Two layers, 4 and 2 bits."""
    chance = np.random.default_rng(0)
    many = np.ones(16, np.int32)
    return IntGraph(
        nodes=(
            Input("image", channels=3, height=8, width=8, zero=121),
            Conv("conv", "image", Weights(chance.integers(0, 16, (16, 3, 3, 3), np.uint8), 4, "odd")),
            Requantize("relu", "conv", 100 * many, 77 * many, 12 * many, low=0, high=15),
            Flatten("flat", "relu"),
            Linear("fc", "flat", Weights(chance.integers(0, 4, (10, 576), np.uint8), 2, "odd")),
            Logits("logits", "fc", np.arange(10, dtype=np.int32), np.full(10, 0.01, np.float32)),
        ),
        classes=tuple(f"class {number}" for number in range(10)),
        preprocessing=Preprocessing(channels=3, height=8, width=8),
    )


def flip(data: bytes, chance: random.Random) -> bytes:
    """One bit, anywhere."""
    place = chance.randrange(8 * len(data))
    return replaced(data, place // 8, bytes([data[place // 8] ^ 1 << place % 8]))


def flip_in_header(data: bytes, chance: random.Random) -> bytes:
    """One bit of the length, the names, the digest, the description or the certificate."""
    place = chance.randrange(8 * (8 + int.from_bytes(data[:8], "little")))
    return replaced(data, place // 8, bytes([data[place // 8] ^ 1 << place % 8]))


def cut(data: bytes, chance: random.Random) -> bytes:
    """The beginning only."""
    return data[: chance.randrange(len(data))]


def extend(data: bytes, chance: random.Random) -> bytes:
    """A few bytes more."""
    return data + chance.randbytes(chance.randrange(1, 100))


def overwrite(data: bytes, chance: random.Random) -> bytes:
    """Random bytes in place of some."""
    return replaced(data, chance.randrange(len(data)), chance.randbytes(chance.randrange(1, 64)))[: len(data)]


def blank(data: bytes, chance: random.Random) -> bytes:
    """Zeros in place of some, as after a crash."""
    return replaced(data, chance.randrange(len(data)), bytes(chance.randrange(1, 512)))[: len(data)]


def remove(data: bytes, chance: random.Random) -> bytes:
    """Some bytes are missing."""
    place = chance.randrange(len(data))
    return data[:place] + data[place + chance.randrange(1, 64) :]


def exchange(data: bytes, chance: random.Random) -> bytes:
    """Two parts change places."""
    size = chance.randrange(1, 64)
    a, b = sorted(chance.sample(range(0, len(data) - size, size), 2))
    return replaced(replaced(data, a, data[b : b + size]), b, data[a : a + size])


def garbage(data: bytes, chance: random.Random) -> bytes:
    """A true beginning, then anything."""
    place = chance.choice([0, 8, chance.randrange(len(data))])
    return data[:place] + chance.randbytes(len(data) - place)


DAMAGES: dict[str, Damage] = {
    damage.__name__: damage
    for damage in (flip, flip_in_header, cut, extend, overwrite, blank, remove, exchange, garbage)
}


def replaced(data: bytes, place: int, part: bytes) -> bytes:
    """The data with a part of it overwritten."""
    return data[:place] + part + data[place + len(part) :]


def outcome(path: Path) -> str:
    """How loading ends."""
    try:
        load(path)
    except ArtifactError:
        return "refused"
    except Exception as error:  # noqa: BLE001 (which one it is, is the result)
        return f"{'another error of ours' if isinstance(error, GlassbitError) else 'crashed'}: {type(error).__name__}"
    return "accepted"


def main() -> None:
    """Run and print the counts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--places", type=int, default=10_000)
    parser.add_argument("--file", type=Path, help="of a network")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    counts: dict[str, Counter[str]] = {name: Counter() for name in DAMAGES}
    with tempfile.TemporaryDirectory() as folder:
        whole, path = options.file or Path(folder) / "whole.glassbit", Path(folder) / "damaged.glassbit"
        if options.file is None:
            network().save(whole)
        data = whole.read_bytes()
        load(whole)
        began = time.monotonic()
        while sum(count.total() for count in counts.values()) < options.places:
            for name, damage in DAMAGES.items():
                damaged = damage(data, chance)
                if damaged != data:
                    path.write_bytes(damaged)
                    counts[name][outcome(path)] += 1
        seconds = time.monotonic() - began
    total = sum(counts.values(), Counter())
    report = {
        "bytes": len(data),
        "damaged": total.total(),
        "outcomes": total,
        "by_damage": counts,
        "seconds": round(seconds, 1),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
    }
    print(json.dumps(report, indent=2))
    sys.exit(0 if set(total) == {"refused"} else 1)


if __name__ == "__main__":
    main()
