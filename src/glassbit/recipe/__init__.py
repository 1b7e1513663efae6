"""Recipes: what is to be trained and measured, as frozen values. Never imports torch."""

from glassbit.recipe._options import DataRecipe as DataRecipe
from glassbit.recipe._options import EvaluationRecipe as EvaluationRecipe
from glassbit.recipe._options import ModelRecipe as ModelRecipe
from glassbit.recipe._options import PlanRecipe as PlanRecipe
from glassbit.recipe._options import RandomRecipe as RandomRecipe
from glassbit.recipe._options import RuleRecipe as RuleRecipe
from glassbit.recipe._options import SaliencyRecipe as SaliencyRecipe
from glassbit.recipe._options import TrainingRecipe as TrainingRecipe
from glassbit.recipe._read import RecipeFile as RecipeFile
from glassbit.recipe._read import load as load
from glassbit.recipe._read import parse as parse
from glassbit.recipe._read import run_recipe as run_recipe
from glassbit.recipe._read import shipped as shipped
from glassbit.recipe._recipe import Recipe as Recipe
from glassbit.recipe._recipe import RunRecipe as RunRecipe
from glassbit.recipe._recipe import data_slug as data_slug
from glassbit.recipe._recipe import differences as differences
from glassbit.recipe._recipe import expand as expand
from glassbit.recipe._recipe import model_slug as model_slug
