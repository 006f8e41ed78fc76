"""Every number that mser-tiny depends on, read from a YAML file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from ...errors import MSERError
from ..adaptable.speaker_traits import TraitsRecipe


class TinyRecipeError(MSERError, ValueError):
    """A recipe for mser-tiny with a field that does not exist or cannot be used."""


@dataclass(frozen=True)
class EncoderRecipe:
    """The student encoder and its distillation."""

    width: int = 512  # the teacher's: each part of the student has a part of the teacher to learn from
    layers: int = 3
    heads: int = 8
    feed_forward: int = 1536
    student_layers: tuple[int, ...] = (1, 2, 3)  # what the connector reads
    steps: int = 1000  # part by part
    together_steps: int = 5500  # the student by itself
    stem_weight: float = 2.0  # of the convolutions
    seconds_per_batch: float = 32.0
    longest_seconds: float = 6.0
    learning_rate: float = 3e-3  # part by part
    together_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    recorded_share: float = 0.5  # batches heard through random recording conditions
    together_share: float = 0.25  # batches in which two speak at a time
    mean_weight: float = 0.25
    deviation_weight: float = 0.15


@dataclass(frozen=True)
class DecoderRecipe:
    """The decoder and its lessons in words."""

    width: int = 128
    layers: int = 2
    heads: int = 4
    steps: int = 1500
    batch: int = 128
    learning_rate: float = 3e-3
    canonical_share: float = 0.4
    synonym_share: float = 0.06


@dataclass(frozen=True)
class ReaderRecipe:
    """The linear readers of the clips' statistics that teach the connector."""

    readers: int = 3
    steps: int = 200
    batch: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    averaged_share: float = 0.4
    discriminant_share: float = 0.5  # of the answers; the rest is the other readers'
    discriminant_ridge: float = 0.8
    discriminant_clips: int = 12_000


@dataclass(frozen=True)
class ConnectorRecipe:
    """The Emotion Q-Former and its training."""

    hidden_size: int = 128
    num_hidden_layers: int = 2
    num_attention_heads: int = 4
    intermediate_size: int = 256
    num_query_tokens: int = 4
    num_statistics_tokens: int = 4
    statistics_rank: int = 128
    statistics_dropout: float = 0.3
    dropout: float = 0.1
    steps: int = 900
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    read_share: float = 1.0  # of what is wanted: what the readers say; the rest is the label
    reader: ReaderRecipe = field(default_factory=ReaderRecipe)
    traits: TraitsRecipe = field(default_factory=TraitsRecipe)
    contrastive_weight: float = 0.3
    contrastive_margin: float = 0.2
    words_weight: float = 0.3
    corpus_power: float = 0.5
    averaged_share: float = 0.4
    recorded_versions: int = 2  # of the clips, beside the clean one
    recorded_share: float = 0.25  # of what is heard in the lessons


@dataclass(frozen=True)
class TinyRecipe:
    """All of it.

    Example:
        >>> TinyRecipe.from_dict({"seed": 1, "encoder": {"steps": 2}}).encoder.steps
        2
    """

    corpora: tuple[str, ...] = ("crema_d", "emodb", "nemo", "emotiontts_ko")
    seed: int = 0
    prompt: str = "{audio} The speaker sounds"
    window_seconds: float = 10.0
    encoder: EncoderRecipe = field(default_factory=EncoderRecipe)
    decoder: DecoderRecipe = field(default_factory=DecoderRecipe)
    connector: ConnectorRecipe = field(default_factory=ConnectorRecipe)

    @classmethod
    def from_yaml(cls, path: str | Path) -> TinyRecipe:
        """The recipe in a file."""
        import yaml

        return cls.from_dict(yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TinyRecipe:
        """The recipe in a dictionary; what is left out keeps its default."""
        return _fill(cls, {name: value for name, value in values.items() if name not in ("name", "description")}, "")

    def as_dict(self) -> dict[str, Any]:
        """All numbers, for the log."""
        return asdict(self)


def _fill(recipe: Any, values: dict[str, Any], where: str) -> Any:
    """A recipe, or a part of one, from a dictionary; parts within it are dictionaries, too."""
    known = {item.name: item for item in fields(recipe)}
    filled: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise TinyRecipeError(f"The recipe's field {where}{name} does not exist. Known: {sorted(known)}.")
        part = known[name].default_factory
        if is_dataclass(part):
            value = _fill(part, value, f"{where}{name}.")
        filled[name] = tuple(value) if isinstance(value, list) else value
    return recipe(**filled)
