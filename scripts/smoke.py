"""Take one tiny network through every command, with the Python that runs this file.

    make lowest

Trains on the embedded images, saliency-guided at 4 bits and in integers, then measures, compares, exports, verifies and
predicts. Ends with the first command that fails. `make lowest` runs it with the lowest versions that `pyproject.toml`
allows.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

RECIPE = """
name: smoke
data: fashion-mini
model: {name: cnn-bn, arguments: {width: 4}}
arms: [fp32, sgt+pact]
plans: [w4a4]
training: {epochs: 1, batch_size: 100, deploy_epochs: 1}
evaluation: {probes: 2, images: 50}
transparency: {images: 20}
"""
RUN = "smoke/runs/fashion-mini-cnn-bn-width-4-sgt+pact-w4a4-s0"
PLAIN = "smoke/runs/fashion-mini-cnn-bn-width-4-fp32-s0"
COMMANDS = (
    ("doctor",),
    ("plan", "--model", "resnet20", "--plan", "layers-4-2"),
    ("study", "smoke.yaml", "--out", "smoke"),
    ("explain", RUN),
    ("compare", PLAIN, RUN, "--images", "20", "--out", "compared"),
    ("export", RUN, "--artifact", "model.glassbit", "--onnx", "model.onnx", "--explain"),
    ("inspect", "model.glassbit"),
    ("verify", "model.glassbit"),
    ("predict", "model.onnx", "images", "--explain", "maps"),
)
IMAGES = """
from pathlib import Path
from PIL import Image
from glassbit import datasets
Path("images").mkdir()
for index, image in enumerate(datasets.load("fashion-mini").test.images[:3, 0].numpy()):
    Image.fromarray(image).save(f"images/{index}.png")
"""


def main() -> None:
    """Run the commands in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "smoke.yaml").write_text(RECIPE, encoding="utf-8")
        subprocess.run([sys.executable, "-c", IMAGES], cwd=folder, check=True)
        for words in COMMANDS:
            print(f"glassbit {' '.join(words)}", flush=True)
            status = subprocess.run([sys.executable, "-m", "glassbit", *words], cwd=folder, check=False).returncode
            if status:
                sys.exit(f"glassbit {words[0]} ended with {status}")
    print("every command works")


if __name__ == "__main__":
    main()
