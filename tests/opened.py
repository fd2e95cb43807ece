"""A script: folders for the Hub opened by timm and transformers alone; it must not import this library.

Arguments: a JSON file of folders by name, each with its library and its samples, image files or sentences; and the file for
logits, class names and what `pipeline` says.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from PIL import Image

try:
    import_module("torchvision")
except RuntimeError:  # it is compiled for torch with CUDA, and this torch has none: two operators are only declared
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    fragment = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        fragment.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

timm: Any = import_module("timm")
transformers: Any = import_module("transformers")


def by_timm(folder: str, samples: list[str]) -> dict[str, Any]:
    network: Any = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    config = timm.data.resolve_model_data_config(network)
    transform: Any = timm.data.create_transform(**config)
    mode = "L" if config["input_size"][0] == 1 else "RGB"
    batch = torch.stack([transform(Image.open(path).convert(mode)) for path in samples])
    return {"logits": network(batch).tolist(), "names": list(network.pretrained_cfg["label_names"])}


def by_transformers(folder: str, samples: list[str]) -> dict[str, Any]:
    is_text = Path(folder, "tokenizer.json").exists()
    if is_text:
        network = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
        inputs = transformers.AutoTokenizer.from_pretrained(folder)(
            samples, padding=True, truncation=True, return_tensors="pt"
        )
    else:
        network = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
        images = [Image.open(path) for path in samples]
        inputs = transformers.AutoImageProcessor.from_pretrained(folder)(images, return_tensors="pt")
    pipeline = transformers.pipeline(f"{'text' if is_text else 'image'}-classification", model=folder)
    options = {"truncation": True} if is_text else {}
    return {
        "logits": network(**inputs).logits.tolist(),
        "names": [network.config.id2label[number] for number in range(network.config.num_labels)],
        "found": [each[0] if isinstance(each, list) else each for each in pipeline(samples, top_k=1, **options)],
    }


def main() -> None:
    results = {}
    with torch.no_grad():
        for name, (library, folder, samples) in json.loads(Path(sys.argv[1]).read_text()).items():
            results[name] = (by_timm if library == "timm" else by_transformers)(folder, samples)
    assert "preceptor" not in sys.modules
    Path(sys.argv[2]).write_text(json.dumps(results))


if __name__ == "__main__":
    main()
