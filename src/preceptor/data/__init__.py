"""Data: sources, the rules that cut them into splits, keyed augmentation, batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preceptor.lazy import lazy_names

if TYPE_CHECKING:
    from preceptor.data.augment.policies import POLICIES
    from preceptor.data.augment.policy import PlainInputs, Policy, PolicyLoader
    from preceptor.data.dataset import Data, Normalisation, Source
    from preceptor.data.images.preprocessing import ImageRead, read_image
    from preceptor.data.loader import Batches, FixedViews, Loader, LoaderSettings
    from preceptor.data.pool import PooledLoader, pooled_sizes
    from preceptor.data.reader import check_views, plain_batches, view_batches
    from preceptor.data.sources.arrays import Pair
    from preceptor.data.sources.columns import read_columns
    from preceptor.data.sources.load import check_source, from_objects, load
    from preceptor.data.sources.registry import SOURCES, names
    from preceptor.data.sources.stream import Stream, StreamLoader
    from preceptor.data.sources.table_fit import TableFit, read_rows
    from preceptor.data.sources.tokens import Tokens, sentence_column
    from preceptor.data.sources.walk import image_files
    from preceptor.data.split import Arrays, Items, Split

__all__ = [
    "POLICIES",
    "SOURCES",
    "Arrays",
    "Batches",
    "Data",
    "FixedViews",
    "ImageRead",
    "Items",
    "Loader",
    "LoaderSettings",
    "Normalisation",
    "Pair",
    "PlainInputs",
    "Policy",
    "PolicyLoader",
    "PooledLoader",
    "Source",
    "Split",
    "Stream",
    "StreamLoader",
    "TableFit",
    "Tokens",
    "check_source",
    "check_views",
    "from_objects",
    "image_files",
    "load",
    "names",
    "plain_batches",
    "pooled_sizes",
    "read_columns",
    "read_image",
    "read_rows",
    "sentence_column",
    "view_batches",
]

__getattr__, __dir__ = lazy_names(__name__)
