"""A model's card: facts, results and the template `model_cards/model.md` become the README of its repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..resources import resource
from . import results as figures

TEMPLATE = "model_cards/model.md"
MARK = "Filled in by hf_mser"
WIDTHS = ("d_model", "hidden_size")
METRIC = "UA in per cent is the mean recall over the classes of a set; WA is plain accuracy, WF1 weighted F1."
ALWAYS_LIMITS = (
    "A score says how a voice sounds to this model, not what somebody feels. It errs often, and more often for voices, "
    "languages and situations far from its training data.",
    "A wrong answer may be a confident one: look at the calibration above, and measure on speech of your own.",
)


@dataclass(frozen=True)
class ModelFacts:
    """What a card says besides its figures. Texts are Markdown."""

    name: str
    description: str
    config: Mapping[str, Any]
    """The checkpoint's config.json."""
    licence: str
    """An identifier of the Hub's list, or else the name of a licence."""
    training_data: str
    data_terms: str
    procedure: str
    languages: Sequence[str] = ()
    datasets: Sequence[str] = ()
    protocols: Sequence[str] = ()
    sections: Sequence[tuple[str, str]] = ()
    """Further tables of the evaluation: titles and texts."""
    limits: Sequence[str] = ()
    cost: str = "Not measured."
    known_licence: bool = True
    """Whether the Hub has an identifier for it."""
    entries: Sequence[figures.Entry] = field(default=())


def model_card(facts: ModelFacts, repo: str = "ORG/NAME") -> str:
    """The card as Markdown with the Hub's metadata, `model-index` included.

    Args:
        facts: What there is to say.
        repo: The repository that the examples name.
    """
    from huggingface_hub import ModelCard, ModelCardData

    config = facts.config
    backbones = [entry["id"] for entry in (config.get("backbones") or {}).values() if entry.get("revision")]
    licence: dict[str, Any] = {"license": facts.licence}
    if not facts.known_licence:
        licence = {"license": "other", "license_name": _slug(facts.licence), "license_link": "LICENSE-WEIGHTS.md"}
    head = ModelCardData(
        **licence,
        language=list(facts.languages) or None,
        library_name="transformers",
        pipeline_tag="audio-classification",
        tags=["speech-emotion-recognition", "speech-emotion", "hf-mser", "audio"],
        datasets=list(facts.datasets) or None,
        base_model=backbones or None,
        metrics=["recall", "accuracy", "f1"],
        model_name=facts.name,
        eval_results=figures.model_index(facts.entries) or None,
    )
    card = ModelCard.from_template(
        head,
        template_path=str(resource(TEMPLATE)),
        name=facts.name,
        repo=repo,
        description=facts.description,
        labels=_labels(config),
        free_words="text_config" in config,
        window=f"{config.get('window_seconds', 30):g}",
        languages=list(facts.languages),
        licence=facts.licence,
        parts=_parts(config),
        training_data=facts.training_data,
        data_terms=facts.data_terms,
        procedure=facts.procedure,
        protocols=list(facts.protocols),
        sections=_sections(facts),
        limits=[*facts.limits, *ALWAYS_LIMITS],
        cost=facts.cost,
    )
    return str(card).rstrip() + "\n"


def _sections(facts: ModelFacts) -> list[dict[str, str]]:
    entries = facts.entries
    tables = [
        ("Results", f"{METRIC}\n\n{figures.summary(entries)}" if entries else "Not measured."),
        *facts.sections,
        ("Languages", figures.languages(entries)),
        ("Women and men", figures.genders(entries)),
        ("Recall of each emotion", figures.recalls(entries)),
        ("Calibration", _calibration(facts)),
    ]
    return [{"title": title, "text": text} for title, text in tables if text]


def _calibration(facts: ModelFacts) -> str:
    temperature = facts.config.get("temperature", 1.0)
    scaled = "Scores are not scaled (temperature 1)." if temperature == 1 else f"Scores are scaled: {temperature:g}."
    known = [entry["ECE"] for entry in facts.entries if entry.get("ECE") is not None]
    if not known:
        return f"{scaled} The calibration error was not measured: read the order of the answers, not their height."
    return (
        f"{scaled} The expected calibration error (15 bins) is {100 * min(known):.1f} to {100 * max(known):.1f} % over "
        "the sets above: so far, on average, confidence is from the truth."
    )


def _parts(config: Mapping[str, Any]) -> list[str]:
    """What the model is made of, as its config says."""
    speech, qformer, text = (config.get(name) for name in ("speech_config", "qformer_config", "text_config"))
    backbones = config.get("backbones") or {}
    layers = config.get("speech_layers", "mix")
    heard = {"mix": "a learned mixture of all layers", "last": "the last layer"}.get(
        layers if isinstance(layers, str) else "", f"a learned mixture of the layers {layers}"
    )
    parts = []
    if speech:
        depth, width = (_first(speech, *names) for names in (("encoder_layers", "num_hidden_layers"), WIDTHS))
        size = f"Speech encoder: {speech['model_type']}, {depth} layers of width {width}"
        parts.append(f"{size}{_origin(backbones.get('speech'))}; what follows reads {heard}.")
    if qformer:
        parts.append(
            f"Connector: an Emotion Q-Former, {qformer['num_hidden_layers']} layers of width {qformer['hidden_size']}, "
            f"{qformer['num_query_tokens']} queries and {qformer['num_statistics_tokens']} tokens of statistics."
        )
    if text:
        size = f"Text model: {text['model_type']}, {text['num_hidden_layers']} layers of width {text['hidden_size']}"
        parts.append(f"{size}{_origin(backbones.get('text'))}.")
    else:
        parts.append(f"Classifier: {config.get('pooling', 'mean')} pooling and one linear layer.")
    return parts


def _first(config: Mapping[str, Any], *names: str) -> Any:
    return next((config[name] for name in names if name in config), "?")


def _origin(backbone: Mapping[str, Any] | None) -> str:
    if not backbone:
        return ""
    return f", `{backbone['id']}` (revision {backbone.get('revision') or 'unpinned'})"


def _labels(config: Mapping[str, Any]) -> list[str]:
    return [word for _, word in sorted(config["id2label"].items(), key=lambda item: int(item[0]))]


def _slug(text: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())[:80] or "other"
