"""Detectors, the crop, tracks, temporal fusion, drawing and the frame pipeline."""
