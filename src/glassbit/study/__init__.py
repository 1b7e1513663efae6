"""Runs and studies: train, measure, and leave a folder of results that `report` reads."""

from ._deployed import integer_graph as integer_graph
from ._images import changes as changes
from ._run import RunOutcome as RunOutcome
from ._run import run_one as run_one
from ._state import SavedRun as SavedRun
from ._state import deployed_model as deployed_model
from ._state import saved_run as saved_run
from ._state import trained_model as trained_model
from ._study import StudyOutcome as StudyOutcome
from ._study import run_study as run_study
from ._transparency import run_facts as run_facts
from ._transparency import run_subject as run_subject
from ._whole import read_result as read_result
