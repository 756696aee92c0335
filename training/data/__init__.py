"""Labelled data: manifests, archives, crops, augmentation and sampling."""
