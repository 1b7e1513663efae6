"""Networks that a run's folder names are imported only when they are trusted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from glassbit._errors import UsageError
from glassbit.build import check_trusted
from glassbit.recipe import NETWORKS


def refusal(name: str, trust: bool | str = False) -> str:
    before = set(sys.modules)
    with pytest.raises(UsageError) as caught:
        check_trusted(name, trust=trust, source=Path("run.json"))
    assert set(sys.modules) == before
    return str(caught.value)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("raise SystemExit('was run')")
    (tmp_path / "pack/inner").mkdir(parents=True)
    for file in ("pack/__init__.py", "pack/inner/__init__.py", "pack/inner/net.py"):
        (tmp_path / file).write_text("raise SystemExit('was run')")
    (tmp_path / "space").mkdir()
    (tmp_path / "space/net.py").write_text("raise SystemExit('was run')")
    return tmp_path


def test_networks_that_ship_need_no_trust() -> None:
    for name in NETWORKS:
        check_trusted(name, trust=False, source=Path("run.json"))


def test_the_file_is_named_without_importing_it(here: Path) -> None:
    assert refusal("evil:make") == (
        f"run.json: model must be one of {', '.join(NETWORKS)}, or be trusted; got 'evil:make', for which "
        f"{here}/evil.py would be run; look into it, then add --trust (in Python trust=True)"
    )
    assert f"{here}/pack/inner/net.py would be run" in refusal("pack.inner.net:make")
    assert f"{here}/space/net.py would be run" in refusal("space.net:make")
    assert "torch/hub.py would be run" in refusal("torch.hub:load")
    assert "os.py would be run" in refusal("os:system")
    assert "built-in would be run" in refusal("marshal:loads")


@pytest.mark.parametrize(
    "name", ["nowhere:make", "pack.nowhere:make", "evil.inner:make", "a..b:c", ".:x", ":x", "a\0b:c"]
)
def test_a_module_that_is_not_found_is_refused_too(here: Path, name: str) -> None:
    text = refusal(name)
    assert "(not found here) would be run" in text
    assert text.isprintable()


def test_trust_is_of_everything_or_of_one(here: Path) -> None:
    check_trusted("evil:make", trust=True, source=Path("run.json"))
    check_trusted("evil:make", trust="evil:make", source=Path("run.json"))
    assert "'pack:make'" in refusal("pack:make", trust="evil:make")
