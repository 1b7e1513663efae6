"""The integer network: one form for every back end, its definition in NumPy, its file and its certificate."""

from ._certificate import Certificate as Certificate
from ._certificate import LayerCertificate as LayerCertificate
from ._graph import IntGraph as IntGraph
from ._infer import TensorInfo as TensorInfo
from ._load import load as load
from ._nodes import About as About
from ._nodes import Add as Add
from ._nodes import AveragePool as AveragePool
from ._nodes import Conv as Conv
from ._nodes import Flatten as Flatten
from ._nodes import Grid as Grid
from ._nodes import Input as Input
from ._nodes import Linear as Linear
from ._nodes import Logits as Logits
from ._nodes import MaxPool as MaxPool
from ._nodes import Node as Node
from ._nodes import Preprocessing as Preprocessing
from ._nodes import Requantize as Requantize
from ._nodes import Subsample as Subsample
from ._nodes import SumPool as SumPool
from ._nodes import Weights as Weights
from ._nodes import Window as Window
from ._nodes import inputs as inputs
from ._pixels import check_pixels as check_pixels
