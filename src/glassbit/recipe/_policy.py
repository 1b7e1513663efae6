"""What a candidate may lose against its reference before a build fails."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from glassbit._errors import RecipeError, UsageError
from glassbit._plain_files import no_file

from ._options import Number, Options
from ._problems import check
from ._yaml import line_number, place, read_text, yaml_values

Share = Annotated[Number, Field(gt=0, le=1)]


class PolicyRecipe(Options):
    """The limits of `glassbit gate`; null switches a check off."""

    accuracy_drop: Annotated[Number, Field(ge=0, le=100)] | None = Field(
        default=1.0, description="points of test accuracy that the candidate may lose"
    )
    agreement: Share | None = Field(
        default=0.5,
        description="agreement of the two networks' maps (Spearman), as a share of the way from a random map to the "
        "reference's agreement with itself under input noise",
    )
    faithfulness: Share | None = Field(
        default=0.8, description="the candidate's ROAD gap, as a share of the reference's"
    )
    predictions: Share | None = Field(
        default=None, description="share of the images on which both networks must predict the same class"
    )
    object_mass: Share | None = Field(
        default=None,
        description="where the data set says where the object is: the candidate's share of the map on it, as a share "
        "of the reference's",
    )


def load_policy(path: Path) -> PolicyRecipe:
    """Read a policy from a YAML file.

    Raises:
        UsageError: the file is not there or not text.
        RecipeError: it has problems; all of them are listed with their lines.
    """
    wrong = no_file(path)
    if wrong:
        got = f"{path}: {wrong.partition(';')[0]}"
        raise UsageError(
            f"--policy: must be a YAML file; got {got}; name one, or leave it out for the limits in --help"
        )
    return parse_policy(read_text(path), str(path))


def parse_policy(text: str, source: str = "policy") -> PolicyRecipe:
    """Return a policy from YAML text.

    Raises:
        RecipeError: every problem, once, each with its line.
    """
    values, lines = yaml_values(text, source, example="agreement: 0.5")
    policy, problems = check(PolicyRecipe, values, lambda path: place(path, lines))
    if not problems and all(value is None for value in policy.model_dump().values()):
        problems = ["line 1: policy: must leave one check on; got none; delete a null"]
    if problems:
        raise RecipeError(source, sorted(problems, key=line_number))
    assert isinstance(policy, PolicyRecipe)
    return policy
