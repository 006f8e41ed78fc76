"""A checkpoint -> the folder that the Hub will hold: weights, config, code, processor, card, licences."""

import importlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..remote_code import AUTO_MAP, CLASSIFIER_AUTO_MAP, write_code
from ..resources import resource
from .errors import HubError

KINDS = {"mser": AUTO_MAP, "mser_classifier": CLASSIFIER_AUTO_MAP}
"""Where the classes of each kind of model are, by its `model_type`."""

WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
# What a processor and the run leave beside the weights; optimisers, logs and checkpoints of the run stay at home.
KEPT = (
    *("generation_config.json", "processor_config.json", "preprocessor_config.json", "added_tokens.json"),
    *("tokenizer*", "special_tokens_map.json", "chat_template*", "vocab*", "merges.txt", "*.jinja", "*.model"),
    *("LICENSE*", "NOTICE*", "plots/*.png"),
    *("recipe.yaml", "data.json", "results.json", "environment.json", "history.json", "training_log.jsonl"),
)


def write_checkpoint(source: Path, folder: Path, *, full: bool = False) -> None:
    """Write everything but the card into `folder`.

    Args:
        source: A checkpoint of `save_pretrained`, a run folder of `mser train`, an adapted checkpoint.
        folder: Where to; it is made.
        full: Include the backbones of a connector checkpoint.
    """
    config = _config_of(source)
    model_class, processor_class = (_class(config, auto) for auto in ("AutoModel", "AutoProcessor"))
    folder.mkdir(parents=True, exist_ok=True)
    if full and config.get("connector_only"):
        model_class.from_pretrained(source, dtype="auto").save_pretrained(folder, full=True)
        config = _config_of(folder)
    else:
        _copy(source, folder, WEIGHTS)
        if not any(folder.glob("*.safetensors")):
            raise HubError(f"{source} holds no safetensors weights. Load it and call save_pretrained.")
    if config.get("connector_only"):
        _refuse_unreachable_backbones(config, source)
    elif any(_is_local(entry) for entry in (config.get("backbones") or {}).values()):
        config["backbones"] = None  # all weights are here, and the names lead nowhere else
    config |= {"auto_map": dict(model_class.auto_map), "custom_pipelines": model_class.pipelines}
    _write_json(folder / "config.json", config)
    _copy(source, folder, KEPT)
    if not (folder / "processor_config.json").is_file():
        _write_processor(source, folder, model_class.config_class, processor_class)
    write_code(folder, source, model_class.entry_files)
    if not (folder / "LICENSE").is_file():
        shutil.copyfile(resource("LICENSE"), folder / "LICENSE")


def write_weights_licence(folder: Path, head: Mapping[str, Any]) -> None:
    """`LICENSE-WEIGHTS.md`: the terms of the weights, beside the `LICENSE` of the code."""
    licence = head.get("license_name") or head.get("license") or "see README.md"
    trained = ", ".join(head.get("datasets") or []) or "see README.md"
    text = (
        "# Licences\n\n"
        "- **Code** (`*.py`): Apache-2.0, see `LICENSE`.\n"
        f"- **Weights** (`*.safetensors`): {licence}. The terms of the training data reach as far as the law lets "
        "them; the card's section on training data names them one by one.\n"
        f"- **Training data**: {trained}. None of it is in this repository.\n"
    )
    (folder / "LICENSE-WEIGHTS.md").write_text(text, encoding="utf-8")


def _config_of(source: Path) -> dict[str, Any]:
    path = source / "config.json"
    if not path.is_file():
        raise HubError(f"{source} holds no config.json, so it is no checkpoint. Give the folder of a saved model.")
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if config.get("model_type") not in KINDS:
        raise HubError(
            f"{source} is a checkpoint of {config.get('model_type')!r}, none of hf_mser's: {', '.join(KINDS)}."
        )
    return config


def _class(config: Mapping[str, Any], auto: str) -> Any:
    module, name = KINDS[config["model_type"]][auto].split(".")
    return getattr(importlib.import_module(f"..{module}", __package__), name)


def _write_processor(source: Path, folder: Path, config_class: Any, processor_class: Any) -> None:
    config = config_class.from_pretrained(source)
    if not config.backbones:
        raise HubError(f"{source} holds no processor. Save it there: processor.save_pretrained({str(source)!r}).")
    processor_class.from_backbones(config).save_pretrained(folder)


def _refuse_unreachable_backbones(config: Mapping[str, Any], source: Path) -> None:
    for part, entry in (config.get("backbones") or {}).items():
        if _is_local(entry):
            raise HubError(
                f"{source} holds a connector whose {part} backbone is the folder {entry['id']}: nobody else has it. "
                "Upload everything with --full, or train on a backbone from the Hub."
            )


def _is_local(backbone: Mapping[str, Any]) -> bool:
    """Whether a backbone has no commit of the Hub: then it was read from a folder."""
    return backbone.get("revision") is None


def _copy(source: Path, folder: Path, patterns: tuple[str, ...]) -> None:
    for pattern in patterns:
        for path in sorted(source.glob(pattern)):
            target = folder / path.relative_to(source)
            if path.is_file() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
