"""Reviews of one sentence, a tokenizer that knows their words, and configurations of networks that read them."""

from __future__ import annotations

import contextlib
import csv
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from preceptor.errors import UsageError
from preceptor.extras import import_torchvision

__all__ = ["WORDS", "reviews", "save_bert", "save_tokenizer", "write"]

GOOD, BAD = ["good", "fine", "lovely", "brilliant"], ["bad", "dull", "awful", "tedious"]
THINGS = ["film", "plot", "cast", "score", "book"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "was", "null", *GOOD, *BAD, *THINGS]

# transformers does without torchvision, but not with one that cannot be imported
with contextlib.suppress(UsageError):
    import_torchvision(needed_by="tests")


def save_tokenizer(folder: Path, words: Sequence[str] = WORDS) -> Path:
    """Write a tokenizer of whole words, of which the first four are padding, unknown, beginning and end."""
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    library: Any = transformers  # whose types are not those that it takes
    written = library.PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]")
    written.save_pretrained(str(folder))
    return folder


def save_bert(folder: Path, width: int, layers: int, **more: object) -> Path:
    """Write the configuration of a BERT for texts of up to 16 tokens."""
    settings: dict[str, Any] = {
        "vocab_size": len(WORDS),
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 2 * width,
        "max_position_embeddings": 16,
        **more,
    }
    transformers.BertConfig(**settings).save_pretrained(folder)
    return folder


def reviews(number: int, seed: int) -> list[tuple[str, str]]:
    """Return sentences with their class, 0 or 1."""
    chance = random.Random(seed)
    rows = []
    for _ in range(number):
        label = chance.randrange(2)
        rows.append((f"the {chance.choice(THINGS)} was {chance.choice((BAD, GOOD)[label])}", str(label)))
    return rows


def write(file: Path, rows: Sequence[tuple[str, ...]], names: tuple[str, ...] = ("sentence", "label")) -> Path:
    """Write a table, separated by tabs as SST-2 is, or by commas."""
    file.parent.mkdir(parents=True, exist_ok=True)
    is_tabs = file.suffix == ".tsv"
    with file.open("w", newline="") as opened:
        quoting: Literal[0, 3] = csv.QUOTE_NONE if is_tabs else csv.QUOTE_MINIMAL
        csv.writer(opened, delimiter="\t" if is_tabs else ",", quoting=quoting, escapechar="\\").writerows(
            [names, *rows]
        )
    return file
