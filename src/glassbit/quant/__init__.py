"""Quantizers, plans of bit widths, and the conversion of networks."""

from ._assign import LayerBits as LayerBits
from ._bits import FLOOR as FLOOR
from ._calibrate import calibrate_ as calibrate_
from ._convert import Conversion as Conversion
from ._convert import assign as assign
from ._convert import dequantize_ as dequantize_
from ._convert import is_activation_quantizer as is_activation_quantizer
from ._convert import quantize_ as quantize_
from ._convert import quantizers as quantizers
from ._cost import Cost as Cost
from ._cost import CostRow as CostRow
from ._cost import cost as cost
from ._dorefa import DoReFa as DoReFa
from ._layers import QuantizedConv2d as QuantizedConv2d
from ._layers import QuantizedLinear as QuantizedLinear
from ._layers import quantized_once as quantized_once
from ._lsq import LSQ as LSQ
from ._pact import PACT as PACT
from ._plan import FLOAT_BITS as FLOAT_BITS
from ._plan import NAMED_PLANS as NAMED_PLANS
from ._plan import Plan as Plan
from ._plan import Rule as Rule
from ._sawb import SAWB as SAWB
from ._sites import Sites as Sites
