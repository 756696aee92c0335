"""The demonstrator: faces of images, videos and the browser's webcam. Start reading in `session.py`."""
