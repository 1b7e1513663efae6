"""What the inputs, outputs and metadata of an exported ONNX file are called, and the operators of QONNX."""

IMAGE, TARGET = "image", "target"
LOGITS, SALIENCY = "logits", "saliency"
FORMAT = "glassbit-onnx"
FORMAT_VERSION = "1"
QONNX = "qonnx.custom_op.general"
