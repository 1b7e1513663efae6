"""Networks that come with Glassbit, and the wrapper that puts the normalisation of the data inside the model.

Any `torch.nn.Module` that takes float images `(n, c, h, w)` and returns logits `(n, classes)` works in their place.
"""

from ._classifier import Classifier as Classifier
from ._classifier import Normalize as Normalize
from ._classifier import to_unit as to_unit
from ._cnn import cnn as cnn
from ._cnn import cnn_bn as cnn_bn
from ._mobilenet_v2 import mobilenet_v2_035 as mobilenet_v2_035
from ._mobilenet_v3 import mobilenet_v3_small as mobilenet_v3_small
from ._resnet import SubsampleAndPad as SubsampleAndPad
from ._resnet import resnet20 as resnet20
from ._resnet import resnet32 as resnet32
from ._resnet import resnet56 as resnet56
from ._resnet8 import resnet8 as resnet8
from ._separable import ds_cnn as ds_cnn
from ._separable import mobilenet_v1_025 as mobilenet_v1_025
from ._squeezenet import squeezenet as squeezenet

__all__ = [
    "Classifier",
    "Normalize",
    "SubsampleAndPad",
    "cnn",
    "cnn_bn",
    "ds_cnn",
    "mobilenet_v1_025",
    "mobilenet_v2_035",
    "mobilenet_v3_small",
    "resnet8",
    "resnet20",
    "resnet32",
    "resnet56",
    "squeezenet",
    "to_unit",
]
