"""What a run and a study leave behind, as frozen values: `run.json`, `result.json`, `log.jsonl`, `study.json`; and the
names of the arms. Never imports torch.
"""

from ._arms import ARMS as ARMS
from ._arms import MASKED as MASKED
from ._arms import OBJECTIVES as OBJECTIVES
from ._arms import REFERENCE as REFERENCE
from ._arms import Arm as Arm
from ._arms import Objective as Objective
from ._arms import Variant as Variant
from ._arms import arm_of as arm_of
from ._arms import is_quantized as is_quantized
from ._arms import named as named
from ._arms import objective_of as objective_of
from ._epoch import Epoch as Epoch
from ._epoch import append_epoch as append_epoch
from ._epoch import read_log as read_log
from ._head import Head as Head
from ._head import Images as Images
from ._head import StudyHead as StudyHead
from ._names import HEAD as HEAD
from ._names import LOG as LOG
from ._names import RESULT as RESULT
from ._names import STUDY as STUDY
from ._result import Accuracy as Accuracy
from ._result import Cost as Cost
from ._result import CostRow as CostRow
from ._result import Deployed as Deployed
from ._result import Masking as Masking
from ._result import Result as Result
from ._result import Tested as Tested
