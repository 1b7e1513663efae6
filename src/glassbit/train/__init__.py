"""Objectives and the training loop."""

from ._allocator import keep_freed_memory as keep_freed_memory
from ._checkpoint import load_checkpoint as load_checkpoint
from ._checkpoint import load_weights as load_weights
from ._checkpoint import save_checkpoint as save_checkpoint
from ._evaluate import Evaluation as Evaluation
from ._evaluate import evaluate as evaluate
from ._fit import fit as fit
from ._fit import fit_with as fit_with
from ._machine import cores as cores
from ._machine import processor as processor
from ._machine import set_threads as set_threads
from ._machine import threads_kept as threads_kept
from ._masked import RandomMasking as RandomMasking
from ._masked import SaliencyGuided as SaliencyGuided
from ._muon import Muon as Muon
from ._objective import CrossEntropy as CrossEntropy
from ._objective import Losses as Losses
from ._objective import Objective as Objective
from ._options import FitOptions as FitOptions
from ._progress import told as told
from ._resume import mend_log as mend_log
from ._trainer import History as History
