"""Policies of `glassbit gate`."""

from __future__ import annotations

from pathlib import Path

import pytest

from glassbit._errors import RecipeError, UsageError
from glassbit.recipe import PolicyRecipe, load_policy, parse_policy


def test_an_empty_mapping_is_the_default_policy() -> None:
    assert parse_policy("{}") == PolicyRecipe()
    assert PolicyRecipe().agreement == 0.5


def test_null_switches_a_check_off() -> None:
    assert parse_policy("agreement: null\naccuracy_drop: 0.5") == PolicyRecipe(agreement=None, accuracy_drop=0.5)


def test_all_problems_come_at_once_with_their_lines() -> None:
    with pytest.raises(RecipeError) as caught:
        parse_policy("agrement: 0.5\nfaithfulness: 1.5\naccuracy_drop: -1\n", "policy.yaml")
    assert caught.value.problems == (
        "line 1: agrement: must be a known key; got an unknown one; did you mean `agreement`?",
        "line 2: faithfulness: must be <= 1; got 1.5; write, for example, `faithfulness: 0.8`",
        "line 3: accuracy_drop: must be >= 0; got -1; write, for example, `accuracy_drop: 1.0`",
    )


def test_a_policy_that_checks_nothing_is_refused() -> None:
    with pytest.raises(RecipeError, match="must leave one check on; got none; delete a null"):
        parse_policy("agreement: null\naccuracy_drop: null\nfaithfulness: null")


def test_a_file_is_read_and_a_missing_one_named(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("predictions: 0.95\n")
    assert load_policy(path).predictions == 0.95
    with pytest.raises(UsageError, match=r"--policy: must be a YAML file; got .*nowhere.yaml: No such file"):
        load_policy(tmp_path / "nowhere.yaml")
    with pytest.raises(
        UsageError, match=r"--policy: must be a YAML file; got .: a folder, where a file is needed; name one"
    ):
        load_policy(Path())


@pytest.mark.parametrize(("text", "got"), [("", "nothing"), ("- 1", "no mapping"), ("agreement", "no mapping")])
def test_what_is_no_policy_is_shown_one(text: str, got: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_policy(text)
    assert caught.value.problems == (f"must be a mapping; got {got}; write keys, e.g. `agreement: 0.5`",)
