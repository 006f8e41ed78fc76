"""The stages through which every unit of work goes, on one core or on a cluster: generate, sift, store.

A unit is a handful of source clips of one split. It ends in one shard for each language and, written last, a journal
entry; a unit without an entry was not finished and is done again, to the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import SAMPLING_RATE, AudioError, SilenceWarning, load_audio
from ..evaluation.files import write_bytes
from .filter import FilterRules
from .shards import M5SERError, encode, read_shard, shard_path, write_shard
from .sources import Source
from .translate import SourceClip, Translator

WORK = ".build"


@dataclass(frozen=True)
class Unit:
    """A piece of work: some sources of one split, and the number that their shards bear."""

    split: str
    number: int
    sources: tuple[Source, ...]

    @property
    def name(self) -> str:
        """As it is called in the journal."""
        return f"{self.split}-{self.number:05d}"


@dataclass(frozen=True)
class Candidate:
    """A clip that may enter the dataset: its row, its samples, or the reason why it has none."""

    row: Mapping[str, Any]
    samples: np.ndarray | None = None
    reason: str | None = None
    encoded: bytes | None = None

    @property
    def language(self) -> str:
        return str(self.row["language"])

    @property
    def key(self) -> str:
        return f"{self.row['source_corpus']}/{self.row['source_id']}"


@dataclass
class Entry:
    """What became of a unit: its files, what they hold, and every clip that was dropped with its reason."""

    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    dropped: list[dict[str, str]] = field(default_factory=list)


def generate(unit: Unit, translator: Translator, languages: Sequence[str]) -> Iterator[Candidate]:
    """The originals of a unit and their translations, source by source; errors take the place of sound."""
    size = translator.batch_size
    attempts = failures = 0
    first = ""
    for start in range(0, len(unit.sources), size):
        batch = unit.sources[start : start + size]
        heard = [_read(source) for source in batch]
        for source, original in zip(batch, heard, strict=True):
            yield original
            if original.samples is None:
                for language in _targets(source, languages):
                    yield Candidate(_row(source, language, None, translator), reason=original.reason)
        for language in languages:
            chosen = [
                (source, _clip(source, original.samples))
                for source, original in zip(batch, heard, strict=True)
                if original.samples is not None and source.language != language
            ]
            if not chosen:
                continue
            results = translator.translate_batch([clip for _, clip in chosen], language)
            for (source, _), result in zip(chosen, results, strict=True):
                attempts += 1
                if isinstance(result, Exception):
                    failures += 1
                    reason = f"failed synthesis: {type(result).__name__}: {result}"
                    first = first or f"{source.key}, {language}: {reason}"
                    yield Candidate(_row(source, language, None, translator), reason=reason)
                else:
                    yield Candidate(_row(source, language, result.text, translator), result.samples)
    if attempts and failures == attempts:
        raise M5SERError(f"{translator.name} translated none of {attempts} clips. Mend its cause first: {first}")


def reread(folder: Path, split: str, number: int, languages: Sequence[str]) -> Iterator[Candidate]:
    """The clips of a unit that was built before, for another filter; their sound is kept as it is encoded."""
    for language in languages:
        path = folder / shard_path(language, split, number)
        for row in read_shard(path) if path.is_file() else ():
            encoded = row.pop("audio")["bytes"]
            yield Candidate(row, load_audio(encoded), encoded=encoded)


def sift(candidates: Sequence[Candidate], rules: FilterRules, balanced: bool) -> list[Candidate]:
    """The same clips with the reason of each that has to go.

    `balanced` also drops what remains of a source that lost one of its languages, so that all hold the same clips.
    """
    seconds = {
        candidate.key: len(candidate.samples) / SAMPLING_RATE
        for candidate in candidates
        if candidate.samples is not None and candidate.row["translator"] is None
    }
    sifted = [_judged(candidate, rules, seconds.get(candidate.key)) for candidate in candidates]
    if not balanced:
        return sifted
    lost: dict[str, list[str]] = defaultdict(list)
    for candidate in sifted:
        if candidate.reason is not None:
            lost[candidate.key].append(candidate.language)
    return [
        replace(candidate, reason=f"unbalanced: its source has no {', '.join(lost[candidate.key])}")
        if candidate.reason is None and candidate.key in lost
        else candidate
        for candidate in sifted
    ]


def save(folder: Path, unit_name: str, candidates: Sequence[Candidate]) -> Entry:
    """Write the shards of a unit, then its journal entry."""
    split, _, number = unit_name.rpartition("-")
    entry = Entry()
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for candidate in candidates:
        if candidate.reason is None and candidate.samples is not None:
            rows[candidate.language].append(_stored(candidate, candidate.samples))
        else:
            names = ("source_corpus", "source_id", "language", "split")
            entry.dropped.append(
                {name: candidate.row[name] for name in names} | {"reason": candidate.reason or "no sound"}
            )
    for language in sorted(rows):
        name = shard_path(language, split, int(number))
        content = write_shard(folder, name, rows[language])
        entry.files[name] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            **_summary(rows[language]),
        }
    text = json.dumps(vars(entry), ensure_ascii=False, indent=1)
    write_bytes(journal_path(folder, unit_name), text.encode())
    return entry


def journal_path(folder: Path, unit_name: str) -> Path:
    """Where the entry of a unit lies."""
    return folder / WORK / "units" / f"{unit_name}.json"


def read_entry(folder: Path, unit_name: str) -> Entry | None:
    """The entry of a finished unit whose shards are all there; else `None`."""
    try:
        entry = Entry(**json.loads(journal_path(folder, unit_name).read_text(encoding="utf-8")))
        whole = all((folder / name).stat().st_size == facts["bytes"] for name, facts in entry.files.items())
    except (OSError, ValueError, TypeError):
        return None
    return entry if whole else None


def _summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "language": rows[0]["language"],
        "split": rows[0]["split"],
        "clips": len(rows),
        "seconds": round(sum(row["duration"] for row in rows), 4),
        "emotions": dict(sorted(Counter(row["emotion"] for row in rows).items())),
        "corpora": dict(sorted(Counter(row["source_corpus"] for row in rows).items())),
        "speakers": sorted({row["speaker"] for row in rows if row["speaker"] is not None}),
        "licences": sorted({row["licence"] for row in rows}),
    }


def _judged(candidate: Candidate, rules: FilterRules, source_seconds: float | None) -> Candidate:
    if candidate.reason is not None or candidate.samples is None:
        return candidate
    return replace(candidate, reason=rules.reason(candidate.samples, candidate.row["source_corpus"], source_seconds))


def _stored(candidate: Candidate, samples: np.ndarray) -> dict[str, Any]:
    name = f"{candidate.key.replace('/', '-')}-{candidate.language}.flac"
    audio = {"bytes": candidate.encoded or encode(samples), "path": name}
    return {"audio": audio, **candidate.row, "duration": len(samples) / SAMPLING_RATE}


def _read(source: Source) -> Candidate:
    row = _row(source, source.language, source.text, None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SilenceWarning)  # the filter has a rule for it
            return Candidate(row, load_audio(source.path))
    except AudioError as error:
        return Candidate(row, reason=f"unreadable source: {error}")


def _clip(source: Source, samples: np.ndarray) -> SourceClip:
    return SourceClip(source.key, samples, source.language, source.text, source.gender, source.voice)


def _targets(source: Source, languages: Sequence[str]) -> list[str]:
    return [language for language in languages if language != source.language]


def _row(source: Source, language: str, text: str | None, translator: Translator | None) -> dict[str, Any]:
    terms = translator.terms if translator else None
    return {
        "emotion": source.emotion,
        "original_label": source.original_label,
        "speaker": source.voice,
        "gender": source.gender,
        "language": language,
        "text": text,
        "duration": None,
        "corpus": "m5ser",
        "split": source.split,
        "licence": f"{source.licence}; {terms}" if terms else source.licence,
        "source_corpus": source.corpus,
        "source_id": source.id,
        "source_language": source.language,
        "translator": translator.name if translator else None,
        "translator_version": translator.version if translator else None,
    }
