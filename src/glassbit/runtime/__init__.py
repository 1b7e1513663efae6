"""Back ends of the integer network that run without torch: ONNX files, ONNX Runtime, onnxruntime-web."""

from ._backend import Backend as Backend
from ._backend import Outputs as Outputs
from ._backend import Task as Task
from ._backend import Way as Way
from ._backend import from_logits as from_logits
from ._backends import BACKENDS as BACKENDS
from ._extras import need as need
from ._float import float_twin as float_twin
from ._onnx import export_onnx as export_onnx
from ._onnx import onnx_model as onnx_model
from ._qonnx import export_qonnx as export_qonnx
from ._qonnx import qonnx_model as qonnx_model
from ._session import Session as Session
from ._session import kernels as kernels
from ._speed import speed as speed
from ._verify import MAPS as MAPS
from ._verify import Row as Row
from ._verify import relative_error as relative_error
from ._verify import verify as verify
from ._verify import verify_settings as verify_settings
from ._web import Web as Web
from ._web import WebJob as WebJob
from ._web import find_web as find_web
