"""The dataset card: what is in it, per language, under which terms; and the configurations that the Hub reads."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ..cards.dataset_card import size_category
from ..corpora.schema import SPLITS
from ..emotions import EMOTIONS
from .translate import LANGUAGE_NAMES

_TRANSLATORS = {
    "prosody": "ProsodyTransfer: espeak-ng reads a sentence of a fixed parallel list (no translation of the source's "
    "words) and WORLD gives it the source's pitch, energy, rate, pauses and voice quality",
    "seamless-expressive": "SeamlessExpressive, speech to speech",
    "seamless-m4t": "SeamlessM4T v2, speech to speech, which does not aim at keeping the prosody",
}


def card(facts: Mapping[str, Any], dropped: Sequence[Mapping[str, str]]) -> str:
    """`README.md` of a dataset whose `build.json` says `facts`."""
    files = list(facts["files"].values())
    languages = sorted({file["language"] for file in files})
    parts = [
        _front_matter(files, languages),
        _what_it_is(facts, files),
        _contents(files, languages),
        _filtered(facts, dropped),
        _licences(files, languages),
        _LIMITS,
    ]
    return "\n".join(parts)


def _front_matter(files: Sequence[Mapping[str, Any]], languages: Sequence[str]) -> str:
    size = size_category(sum(file["clips"] for file in files))
    lines = ["---", "language:", *(f"- {language}" for language in languages), "license: other"]
    lines += ["license_name: of-the-sources", "license_link: '#licences'", "pretty_name: M5SER"]
    lines += ["task_categories:", "- audio-classification", "tags:", "- speech-emotion-recognition", "- synthetic"]
    lines += ["size_categories:", f"- {size}", "configs:"]
    for name, folder in [("all", "*"), *((language, language) for language in languages)]:
        lines += [f"- config_name: {name}", "  data_files:"]
        held = {file["split"] for file in files if folder in ("*", file["language"])}
        for split in (split for split in SPLITS if split in held):
            lines += [f"  - split: {split}", f"    path: data/{folder}/{split}-*.parquet"]
        lines += ["  default: true"] if name == "all" else []
    return "\n".join([*lines, "---", ""])


def _what_it_is(facts: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> str:
    plan = facts["plan"]
    hours = sum(file["seconds"] for file in files) / 3600
    languages = ", ".join(LANGUAGE_NAMES.get(language, language) for language in plan["languages"])
    return f"""# M5SER

Emotional speech in several languages: recordings of {", ".join(plan["corpora"])} with their human labels, and synthetic
speech in {languages} that carries the same labels. {sum(file["clips"] for file in files):,} clips, {hours:.2f} hours.
Recipe: M5SER of MSER (arXiv 2503.21806), as implemented by hf_mser.

Made with {_TRANSLATORS.get(plan["translator"], plan["translator"])} (`{plan["translator_version"]}`).

```python
from datasets import load_dataset
from hf_mser import load_audio

rows = load_dataset("DIR_OR_NAME", "fr", split="train", streaming=True)
samples = load_audio(next(iter(rows))["audio"])         # 16 kHz; no decoder library needed
```

Each clip of one speaker, original or synthetic, is in one split. `source_corpus` and `source_id` name the recording
that a clip was made from; `translator` is null for the recordings themselves.
"""


def _contents(files: Sequence[Mapping[str, Any]], languages: Sequence[str]) -> str:
    held = [split for split in SPLITS if any(file["split"] == split for file in files)]
    emotions = [emotion for emotion in EMOTIONS if any(emotion in file["emotions"] for file in files)]
    lines = ["## Contents", "", "| configuration | " + " | ".join([*held, "hours", *emotions]) + " |"]
    lines.append("|---" * (2 + len(held) + len(emotions)) + "|")
    for language in languages:
        own = [file for file in files if file["language"] == language]
        by_split, by_emotion = Counter[str](), Counter[str]()
        for file in own:
            by_split[file["split"]] += file["clips"]
            by_emotion.update(file["emotions"])
        cells: list[Any] = [by_split[split] for split in held]
        cells += [f"{sum(file['seconds'] for file in own) / 3600:.2f}"]
        cells += [by_emotion[emotion] for emotion in emotions]
        lines.append(f"| {language} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join([*lines, ""])


def _filtered(facts: Mapping[str, Any], dropped: Sequence[Mapping[str, str]]) -> str:
    rules = facts["plan"]["rules"]
    said = [f"clips shorter than {rules['min_seconds']} s"]
    by_size: dict[int, list[str]] = defaultdict(list)
    for corpus, kilobytes in rules["min_kilobytes"].items():
        by_size[kilobytes].append(corpus)
    said += [
        f"clips of less than {size} KB (as 16-bit WAV at 16 kHz) from {', '.join(corpora)}"
        for size, corpora in by_size.items()
    ]
    said += [f"`{name}` = {rules[name]}" for name in _OPTIONAL if rules[name] not in (None, False)]
    if facts["plan"]["balanced"]:
        said.append("all clips of a source that lost one of its languages")
    counts = Counter(line["reason"].partition(":")[0] for line in dropped)
    table = [f"| {reason} | {count} |" for reason, count in counts.most_common()]
    listed = ["", "| reason | clips |", "|---|---|", *table] if table else []
    return "\n".join(["## Dropped", "", f"By rule: {'; '.join(said)}. Each is in `dropped.jsonl`.", *listed, ""])


_OPTIONAL = ("drop_silence", "max_clipped", "min_ratio", "max_ratio", "min_speech")


def _licences(files: Sequence[Mapping[str, Any]], languages: Sequence[str]) -> str:
    lines = ["## Licences", "", "Every row says its own in `licence`.", "", "| configuration | terms |", "|---|---|"]
    for language in languages:
        terms = sorted({term for file in files if file["language"] == language for term in file["licences"]})
        lines.append(f"| {language} | {'<br>'.join(terms)} |")
    return "\n".join([*lines, ""])


_LIMITS = """## Limits

The labels are those of the sources; nobody listened to the synthetic clips. How far the emotion survives is measured by
`mser m5ser analyse`. Synthetic voices are no native speakers: do not evaluate on them, evaluate on real speech.
"""
