"""From data sets as their owners give them out to checked manifests with face boxes."""
