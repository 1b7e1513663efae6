"""Optional packages, and the command that installs them."""

from __future__ import annotations

EXTRAS = {
    "onnx": ("onnx>=1.20", "onnxruntime>=1.24"),
    "ray": ("ray[client]>=2.40",),
    "tensorboard": ("tensorboard>=2.16",),
}
"""The packages of each extra, as `pyproject.toml` has them."""


def install(extra: str) -> str:
    """Return the command that installs an extra. It names the packages, so it works for a checkout too.

    Args:
        extra: its name.

    Example:
        >>> install("tensorboard")
        "pip install 'tensorboard>=2.16'"
    """
    return " ".join(["pip install", *(f"'{package}'" for package in EXTRAS[extra])])
