"""Face detectors behind one interface: YuNet (the default) and InsightFace's SCRFD."""
