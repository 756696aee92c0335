"""The model card of `small`: text and pictures from what was measured, and the check that both still agree."""
