"""From predictions to metrics, calibration and evaluation."""
