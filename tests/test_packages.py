"""Commands that install optional packages."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from glassbit._errors import UsageError
from glassbit._packages import EXTRAS, install

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_packages_are_those_of_the_project(extra):
    extras = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert tuple(extras[extra]) == EXTRAS[extra]
    assert install(extra) == "pip install " + " ".join(f"'{package}'" for package in extras[extra])


def test_no_message_installs_glassbit_from_an_index():
    """It is on none, so that command would fail."""
    home = PROJECT.parent
    files = [*home.glob("src/**/*.py"), *home.glob("src/**/*.j2"), *home.glob("docs/**/*.md"), home / "README.md"]
    assert len(files) > 200
    assert [str(file) for file in files if "glassbit[" in file.read_text(encoding="utf-8")] == []


def test_without_tensorboard_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    from glassbit.train._tensorboard import open_writer

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError) as caught:
        open_writer(tmp_path, 0)
    assert (
        str(caught.value)
        == "tensorboard must be installed; got no package of that name; pip install 'tensorboard>=2.16'"
    )
