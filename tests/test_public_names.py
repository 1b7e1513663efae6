"""The names that callers rely on, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

import glassbit

NAMES = {
    *("PACT", "DoReFa", "SAWB", "LSQ", "Plan", "quantize_", "dequantize_"),
    *("CrossEntropy", "SaliencyGuided", "RandomMasking", "fit", "saliency", "models", "datasets"),
    *("lower", "IntGraph", "load", "export_onnx"),
    *("GlassbitError", "GlassbitWarning"),
}
HEAVY = ("torch", "lightning_fabric", "matplotlib", "captum", "PIL")


def test_the_public_names_are_pinned():
    assert set(glassbit.__all__) == NAMES
    assert len(glassbit.__all__) == len(NAMES)
    assert set(dir(glassbit)) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_is_there(name):
    value = getattr(glassbit, name)
    assert callable(value) or isinstance(value, types.ModuleType)


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match=r"no attribute 'pact'; it has .*PACT"):
        glassbit.pact  # noqa: B018


def loaded(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after `code`."""
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('\\n' + '\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n"))


def test_every_error_of_ours_is_caught_by_the_public_one():
    from glassbit import _errors

    raised = [value for value in vars(_errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(raised) > 5
    assert all(issubclass(kind, glassbit.GlassbitError | glassbit.GlassbitWarning) for kind in raised)


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded("import glassbit") & {*HEAVY, "pydantic", "numpy"}


def test_help_loads_nothing_heavy():
    code = "sys.argv = ['glassbit', '--help']; from glassbit.cli import run; run()"
    assert not loaded(code) & {*HEAVY, "pydantic", "numpy"}


def test_what_runs_a_shipped_network_loads_no_torch():
    assert not loaded("import glassbit; glassbit.IntGraph, glassbit.load, glassbit.export_onnx") & {*HEAVY, "pydantic"}


@pytest.mark.parametrize(
    "command",
    ["train", "study", "plan", "explain", "export", "predict", "verify", "inspect", "report", "doctor"],
)
def test_help_of_a_command_loads_no_torch(command):
    code = f"sys.argv = ['glassbit', '{command}', '--help']; from glassbit.cli import run; run()"
    assert not loaded(code) & set(HEAVY)
