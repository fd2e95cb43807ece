"""Data: sources, the rules that cut them, keyed augmentation, batches."""

from preceptor.data.arrays import Pair
from preceptor.data.dataset import Data, Normalisation, Source
from preceptor.data.loader import Loader, Shown, check_views, plain_batches, seen_batch
from preceptor.data.sources import SOURCES, from_objects, load, names
from preceptor.data.split import Arrays, Items, Split

__all__ = [
    "SOURCES",
    "Arrays",
    "Data",
    "Items",
    "Loader",
    "Normalisation",
    "Pair",
    "Shown",
    "Source",
    "Split",
    "check_views",
    "from_objects",
    "load",
    "names",
    "plain_batches",
    "seen_batch",
]
