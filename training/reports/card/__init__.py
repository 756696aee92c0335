"""The model card of `small`: text and images from the measurements, and the check that both still agree."""
