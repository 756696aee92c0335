"""Face detectors behind one interface: YuNet (the default) and InsightFace's SCRFD."""

from facial_attributes_ros.vision.detectors.base import CLOSE_UP, DetectorOptions, FaceDetector, load_detector
from facial_attributes_ros.vision.detectors.scrfd import ScrfdDetector
from facial_attributes_ros.vision.detectors.yunet import YuNetDetector

__all__ = ["CLOSE_UP", "DetectorOptions", "FaceDetector", "ScrfdDetector", "YuNetDetector", "load_detector"]
