"""Adaptations of a backbone: linear probing, partial fine-tuning, LoRA+, DoRA and MTLoRA."""
