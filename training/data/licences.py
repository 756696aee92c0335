"""Licences of common training sets, by their name in the column `source`.

The licence of any other data set is unknown, unless a recipe states it.
"""

from collections.abc import Iterator
from typing import Final

from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.data.subsets import ORIGIN

from facial_attributes_ros.models.provenance import Licence

_RESEARCH: Final = {
    "affectnet": "AffectNet",
    "appa-real": "APPA-REAL",
    "appareal": "APPA-REAL",
    "imdb": "IMDB-WIKI",
    "imdb-wiki": "IMDB-WIKI",
    "raf-db": "RAF-DB",
    "rafdb": "RAF-DB",
    "utkface": "UTKFace",
    "vggface2": "VGGFace2",
    "wiki": "IMDB-WIKI",
}
"""For non-commercial research, under terms of their own."""
DATA_LICENCES: Final[dict[str, Licence]] = {
    "celeba-hq": Licence("CC-BY-NC-4.0", "no", ("CelebAMask-HQ",)),
    "fairface": Licence("CC-BY-4.0", "yes", ("FairFace",)),
    "ffhq": Licence("LicenseRef-FFHQ", "no", ("FFHQ",)),
    **{name: Licence(f"LicenseRef-{title}", "no", (title,)) for name, title in _RESEARCH.items()},
}


def licences_of(manifest: Manifest) -> Iterator[Licence]:
    """Yield the licence of every source of some samples, and of every origin within a source."""
    names = dict.fromkeys(manifest.sources.tolist())
    for name in names:
        yield DATA_LICENCES.get(name.lower(), Licence(sources=(name or "unnamed data",)))
    for origin in dict.fromkeys(manifest.extra[ORIGIN].tolist() if ORIGIN in manifest.extra else ()):
        # An origin that is not listed has the licence of its source.
        if origin.lower() in DATA_LICENCES and origin not in names:
            yield DATA_LICENCES[origin.lower()]
