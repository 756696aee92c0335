"""Readers of data sets in the layouts of their owners."""

from facial_attributes_training.prepare.sources.affectnet import AFFECTNET
from facial_attributes_training.prepare.sources.appareal import APPAREAL
from facial_attributes_training.prepare.sources.base import Found, Source
from facial_attributes_training.prepare.sources.celeba_hq import CELEBA_HQ
from facial_attributes_training.prepare.sources.fairface import FAIRFACE
from facial_attributes_training.prepare.sources.folders import read_folders
from facial_attributes_training.prepare.sources.imdb_wiki import IMDB_WIKI
from facial_attributes_training.prepare.sources.lagenda import LAGENDA
from facial_attributes_training.prepare.sources.rafdb import RAFDB
from facial_attributes_training.prepare.sources.sessa import SESSA
from facial_attributes_training.prepare.sources.table import MANIFEST, TableOptions, read_csv
from facial_attributes_training.prepare.sources.utkface import UTKFACE
from facial_attributes_training.prepare.sources.vggface2 import VGGFACE2

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        FAIRFACE,
        RAFDB,
        CELEBA_HQ,
        LAGENDA,
        UTKFACE,
        AFFECTNET,
        APPAREAL,
        IMDB_WIKI,
        VGGFACE2,
        SESSA,
        MANIFEST,
    )
}
"""Every reader by its name on the command line."""

__all__ = ["SOURCES", "Found", "Source", "TableOptions", "read_csv", "read_folders"]
