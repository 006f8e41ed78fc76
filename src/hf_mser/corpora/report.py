"""The report of a preparation: what is there, what the documentation promises, and everything that is wrong."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .conversion import Done
from .definition import Clip, Corpus, Problem

REPORT = "report.json"
_SHOWN = 5


@dataclass(frozen=True)
class Report:
    """What `prepare` made and found. `ok` is true when nothing is missing, damaged, twice or in conflict."""

    output: Path
    facts: dict[str, Any]
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def clips(self) -> int:
        return int(self.facts["clips"])

    def text(self) -> str:
        """The content of `report.json`; the same input gives the same bytes."""
        content = {**self.facts, "problems": [asdict(problem) for problem in self.problems]}
        return json.dumps(content, ensure_ascii=False, indent=2) + "\n"

    @classmethod
    def read(cls, output: Path) -> Report:
        """The report that an earlier preparation left in its folder."""
        facts = json.loads((output / REPORT).read_text(encoding="utf-8"))
        problems = tuple(Problem(**problem) for problem in facts.pop("problems"))
        return cls(output, facts, problems)

    def summary(self) -> str:
        """A few lines for a person: counts, then the problems by kind with their first examples."""
        facts = self.facts
        sizes = {name: part["clips"] for name, part in facts["splits"].items()}
        lines = [
            f"{facts['title']}: {facts['clips']} clips, {facts['hours']:.2f} hours, "
            f"{facts['speakers']} speakers in {self.output}",
            f"  emotions: {', '.join(f'{name} {count}' for name, count in facts['emotions'].items())}",
            f"  splits: {', '.join(f'{name} {size}' for name, size in sizes.items())}",
        ]
        by_kind: dict[str, list[Problem]] = defaultdict(list)
        for problem in self.problems:
            by_kind[problem.kind].append(problem)
        for kind, problems in by_kind.items():
            lines.append(f"  {kind}: {len(problems)}")
            lines += [f"    {problem.where}: {problem.message}" for problem in problems[:_SHOWN]]
            if len(problems) > _SHOWN:
                lines.append(f"    ... all of them in {self.output / REPORT}")
        return "\n".join(lines)


def describe(
    corpus: Corpus,
    rows: Sequence[Mapping[str, Any]],
    problems: Sequence[Problem],
    *,
    plan: str,
    output: Path,
    documented: bool,
) -> Report:
    """The facts of a prepared corpus; with `documented`, beside the counts of its documentation."""
    speakers = {row["speaker"] for row in rows if row["speaker"] is not None}
    facts = {
        "corpus": corpus.name,
        "title": corpus.title,
        "licence": corpus.licence,
        "citation": corpus.citation,
        "clips": len(rows),
        "hours": round(sum(row["duration"] for row in rows) / 3600, 4),
        "speakers": len(speakers),
        "labels": _counts(rows, "original_label"),
        "emotions": _counts(rows, "emotion"),
        "languages": _counts(rows, "language"),
        "splits": _splits(rows),
        "documented": asdict(corpus.expected) if documented else None,
        "notes": list(corpus.notes),
        "plan": plan,
    }
    return Report(output, facts, tuple(problems))


def _counts(rows: Sequence[Mapping[str, Any]], column: str) -> dict[str, int]:
    return dict(sorted(Counter(str(row[column]).replace("None", "null") for row in rows).items()))


def _splits(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    parts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        parts[row["split"] or "null"].append(row)
    return {
        name: {"clips": len(part), "speakers": sorted({row["speaker"] for row in part if row["speaker"]})}
        for name, part in sorted(parts.items())
    }


def audio_problems(corpus: Corpus, clips: Sequence[Clip], results: Sequence[Done]) -> Iterator[Problem]:
    """What only the sound tells: damaged, silent and identical clips; and speakers on two sides."""
    same: dict[str, list[Clip]] = defaultdict(list)
    for clip, done in zip(clips, results, strict=True):
        if done.error is not None:
            yield Problem("damaged file", clip.path, done.error)
        elif done.silent:
            yield Problem("silent clip", clip.path, "not one sample differs from zero")
        elif done.audio_sha256 is not None:
            same[done.audio_sha256].append(clip)
    for copies in same.values():
        if len(copies) > 1:
            yield Problem("duplicate audio", copies[0].path, _copies(corpus, copies))
    yield from _crossing(corpus, clips)


def _copies(corpus: Corpus, copies: Sequence[Clip]) -> str:
    others = ", ".join(clip.path for clip in copies[1:])
    differences = {
        "labels": len({clip.label for clip in copies}),
        "speakers": len({clip.speaker for clip in copies}),
        "splits": len({corpus.split_of(clip.speaker, clip.official_split) for clip in copies}),
    }
    conflicts = [what for what, values in differences.items() if values > 1]
    return f"the same samples as {others}" + (f", under different {' and '.join(conflicts)}" if conflicts else "")


def _crossing(corpus: Corpus, clips: Sequence[Clip]) -> Iterator[Problem]:
    sides: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        split = corpus.split_of(clip.speaker, clip.official_split)
        if clip.speaker is not None and split is not None:
            sides[clip.speaker].add(split)
    for speaker, found in sorted(sides.items()):
        if len(found) > 1:
            yield Problem("speaker in two splits", speaker, f"stands in {' and in '.join(sorted(found))}")
