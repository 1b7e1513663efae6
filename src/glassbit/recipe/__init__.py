"""Recipes: what is to be trained and measured, as frozen values. Never imports torch."""

from ._options import DEPLOY_OPTIONS as DEPLOY_OPTIONS
from ._options import DataRecipe as DataRecipe
from ._options import EvaluationRecipe as EvaluationRecipe
from ._options import FinetuningRecipe as FinetuningRecipe
from ._options import ModelRecipe as ModelRecipe
from ._options import PlanRecipe as PlanRecipe
from ._options import RandomRecipe as RandomRecipe
from ._options import RuleRecipe as RuleRecipe
from ._options import SaliencyRecipe as SaliencyRecipe
from ._options import TrainingRecipe as TrainingRecipe
from ._options import TransparencyRecipe as TransparencyRecipe
from ._policy import PolicyRecipe as PolicyRecipe
from ._policy import load_policy as load_policy
from ._policy import parse_policy as parse_policy
from ._read import RecipeFile as RecipeFile
from ._read import load as load
from ._read import parse as parse
from ._read import run_recipe as run_recipe
from ._read import shipped as shipped
from ._recipe import Recipe as Recipe
from ._recipe import RunRecipe as RunRecipe
from ._recipe import data_slug as data_slug
from ._recipe import differences as differences
from ._recipe import expand as expand
from ._recipe import model_slug as model_slug
