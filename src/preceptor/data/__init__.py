"""Data: sources, the rules that cut them, keyed augmentation, batches."""

from preceptor.data.arrays import Pair
from preceptor.data.dataset import Data, Normalisation, Source
from preceptor.data.folders import image_files
from preceptor.data.loader import Batches, Loader, Shown, check_views, plain_batches, seen_batches
from preceptor.data.pixels import read_image
from preceptor.data.policies import POLICIES, KDPlus, MixPatch, Policy, Real
from preceptor.data.pool import PolicyLoader, PooledLoader, pooled_sizes
from preceptor.data.sources import SOURCES, from_objects, load, names
from preceptor.data.split import Arrays, Items, Split
from preceptor.data.stream import Stream, StreamLoader
from preceptor.data.table_fit import TableFit, read_rows

__all__ = [
    "POLICIES",
    "SOURCES",
    "Arrays",
    "Batches",
    "Data",
    "Items",
    "KDPlus",
    "Loader",
    "MixPatch",
    "Normalisation",
    "Pair",
    "Policy",
    "PolicyLoader",
    "PooledLoader",
    "Real",
    "Shown",
    "Source",
    "Split",
    "Stream",
    "StreamLoader",
    "TableFit",
    "check_views",
    "from_objects",
    "image_files",
    "load",
    "names",
    "plain_batches",
    "pooled_sizes",
    "read_image",
    "read_rows",
    "seen_batches",
]
