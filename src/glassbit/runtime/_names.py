"""What the inputs, outputs and metadata of an exported ONNX file are called, and the operators of QONNX."""

IMAGE, TARGET = "image", "target"
LOGITS, SALIENCY = "logits", "saliency"
FORMAT = "glassbit-onnx"
FORMAT_VERSION = "2"
READ_VERSIONS = ("1", "2")
"""In version 1 `target` has a default, -1, and may be left out; ONNX Runtime warns of that at each load."""
PREDICTED = -1
"""The target that stands for the predicted class."""
QONNX = "qonnx.custom_op.general"
