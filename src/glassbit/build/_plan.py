"""The bit widths of a recipe."""

from __future__ import annotations

from glassbit.quant import Plan, Rule
from glassbit.recipe import PlanRecipe


def build_plan(recipe: PlanRecipe) -> Plan:
    """Return the plan that `recipe` names or spells out; it is called by the recipe's slug."""
    if recipe.rules:
        rules = tuple(Rule(rule.layers, rule.weight, rule.activation, depth=rule.depth) for rule in recipe.rules)
    else:
        rules = Plan.named(recipe.name).rules
    return Plan(
        recipe.slug,
        rules,
        edges=recipe.edges,
        weights=recipe.weights,
        activations=recipe.activations,
        alpha=recipe.alpha,
        signed=recipe.signed,
    )
