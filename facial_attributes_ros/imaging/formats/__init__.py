"""The headers of image files: what a file is, how large, which way up, and whether all of it is there.

Decoders believe what a header says and take memory for it, so every format that is decoded has a reader here that
compares the header with the data first. What has none is refused.
"""

from facial_attributes_ros.imaging.formats.base import FormatError, Header
from facial_attributes_ros.imaging.formats.load import NAMES, SUFFIXES, read_header

__all__ = ["NAMES", "SUFFIXES", "FormatError", "Header", "read_header"]
