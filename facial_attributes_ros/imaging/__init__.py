"""Images in and out: the bounded decoder, sources, crops, view quality, drawing."""
