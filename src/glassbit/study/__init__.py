"""Runs and studies: train, measure, and leave a folder of results that `report` reads."""

from glassbit.study._run import RunOutcome as RunOutcome
from glassbit.study._run import run_one as run_one
from glassbit.study._state import saved_run as saved_run
from glassbit.study._state import trained_model as trained_model
from glassbit.study._study import StudyOutcome as StudyOutcome
from glassbit.study._study import run_study as run_study
