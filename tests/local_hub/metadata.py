"""The part of the Hub's metadata check that needs no Hub: is a card's head well-formed, typed, and complete."""

from typing import Any

import yaml
from huggingface_hub import DatasetCard, ModelCard, SpaceCard

CARDS = {"model": ModelCard, "dataset": DatasetCard, "space": SpaceCard}
TEXTS = ("license", "library_name", "pipeline_tag", "pretty_name", "sdk", "title", "license_name", "license_link")
LISTS = ("language", "tags", "datasets", "metrics", "base_model", "task_categories", "size_categories")
NEEDED = {"space": ("title", "sdk")}


def metadata_faults(content: str, kind: str) -> list[str]:
    """What the Hub would not accept.

    Example:
        >>> metadata_faults("---\\nlicense: 7\\n---\\n", "model")
        ['"license" must be a string']
    """
    try:
        head = CARDS[kind](content, ignore_metadata_errors=False).data.to_dict()
    except (ValueError, yaml.YAMLError) as error:
        return [f"The metadata cannot be read: {error}"]
    faults = [f'"{name}" must be a string' for name in TEXTS if not isinstance(head.get(name, ""), str)]
    faults += [f'"{name}" must be a string or a list of strings' for name in LISTS if not _texts(head.get(name, []))]
    faults += [f'"{name}" is required' for name in NEEDED.get(kind, ()) if not head.get(name)]
    if head.get("license") == "other" and not head.get("license_name"):
        faults.append('"license_name" is required with the license "other"')
    return faults


def _texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))
