"""Choosing pixels by a score and replacing them: what saliency-guided training and the masking curves share."""

from ._fill import Fill as Fill
from ._fill import fill as fill
from ._fill import masked as masked
from ._select import highest as highest
from ._select import lowest as lowest
from ._select import ranks as ranks
from ._select import tied as tied
