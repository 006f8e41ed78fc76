"""A data set's card: configurations, counts and terms, from the template `model_cards/dataset.md`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..resources import resource

TEMPLATE = "model_cards/dataset.md"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def dataset_card(facts: Mapping[str, Any], repo: str = "ORG/NAME") -> str:
    """The card as Markdown, with the Hub's metadata and the configurations that `load_dataset` reads.

    Args:
        facts: What `hf_mser.hub.dataset.write_dataset` returns.
        repo: The repository that the examples name.
    """
    from huggingface_hub import DatasetCard, DatasetCardData

    from ..corpora import get
    from ..corpora.schema import CorpusNotFoundError

    configs = facts["configs"]
    sources = []
    for name in facts["corpora"]:
        try:
            corpus = get(name)
            sources.append(f"**{corpus.title}** ({corpus.homepage}): {corpus.licence}. {corpus.citation}.")
        except CorpusNotFoundError:
            sources.append(f"**{name}**: {'; '.join(facts['licences']) or 'no licence stated'}.")
    head = DatasetCardData(
        language=facts["languages"],
        license="other",
        license_name="the-terms-of-its-sources",
        license_link="README.md",
        task_categories=["audio-classification"],
        tags=["speech-emotion-recognition", "audio"],
        size_categories=[size_category(facts["clips"])],
        pretty_name=facts["name"],
        configs=[
            {"config_name": name, "data_files": [{"split": split, "path": path} for split, path in splits.items()]}
            for name, splits in configs.items()
        ],
    )
    first = next(iter(configs))
    card = DatasetCard.from_template(
        head,
        template_path=str(resource(TEMPLATE)),
        name=facts["name"],
        repo=repo,
        clips=facts["clips"],
        hours=f"{facts['hours']:.2f}",
        speakers=facts["speakers"],
        languages=facts["languages"],
        emotions=", ".join(f"{name} {count}" for name, count in facts["emotions"].items()),
        configs=list(configs),
        split=next(iter(configs[first])),
        layout=[f"| `{name}` | {', '.join(splits)} |" for name, splits in configs.items()],
        sources=sources,
    )
    return str(card).rstrip() + "\n"


def size_category(clips: int) -> str:
    """How the Hub calls data of that size.

    Example:
        >>> size_category(3_096)
        '1K<n<10K'
    """
    return next((label for limit, label in _SIZES if clips < limit), "n>1M")
