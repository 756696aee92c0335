"""Inference engines: one interface, PyTorch and ONNX Runtime behind it, and export."""
