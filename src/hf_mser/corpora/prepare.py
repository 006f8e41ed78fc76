"""`prepare`: an original distribution becomes an audio folder in the one schema, with a report.

    prepared/emodb/
        clips/*.flac        16 kHz, mono
        metadata.jsonl      written last: a folder without it is not finished
        report.json         what is there, what is missing, damaged, twice; the speakers of each split
        SHA256SUMS          `sha256sum -c SHA256SUMS`

A preparation that was killed at any moment goes on when it is started again, to byte-equal results.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from ..disk import claim, writing
from .conversion import Done, Job, Journal, Piece, convert_all
from .definition import Clip, Corpus, Expected, Problem, Reader
from .loading import corpora_root
from .metadata import CHECKSUMS, read_metadata, verify_checksums
from .reading import clip_id, files, scan, unlisted
from .report import REPORT, Report, audio_problems, describe
from .schema import METADATA, CorpusError

WORK = ".prepare"
CLIPS = "clips"
_CLIPS_A_WORKER = 200
_LONGEST_NAME = 120
_SPLIT_WORDS = frozenset(
    ("train", "training", "validation", "valid", "dev", "val", "test", "testing", "eval", "evaluation")
)


def prepare(name: str, source: str | Path, output: str | Path | None = None, *, workers: int | None = None) -> Report:
    """Prepare a corpus from its original distribution (or from an audio folder with `metadata.jsonl`).

    Args:
        name: A corpus of `hf_mser.corpora.names()`.
        source: The folder of the distribution, unpacked.
        output: Where the audio folder goes; by default `corpora_root() / name`, where `load_corpus` looks.
        workers: Processes; by default one for every two hundred clips, at most one for every core.

    Whatever is missing, damaged or twice stands in the returned report; an unknown label, a name that
    leaves the folder or a folder without a single clip is an error before anything is written.

    Example:
        >>> report = prepare("emodb", "downloads/emodb", "prepared/emodb")  # doctest: +SKIP
        >>> print(report.summary())  # doctest: +SKIP
    """
    from . import get

    corpus = get(name)
    source = Path(source).expanduser().absolute()
    output = (Path(output).expanduser() if output is not None else corpora_root() / corpus.name).absolute()
    if output == source or output.is_relative_to(source):
        raise CorpusError(f"{output} lies inside of the source {source}; choose a folder outside.")
    clips, problems, is_folder = _read(corpus, source)
    plan = _plan(corpus, source, clips, problems)
    earlier = _finished(output, plan)
    if earlier is not None and not _changed_since(output, source, clips):
        return earlier

    with writing(output), _claimed(output):
        targets = _file_names(clips)
        done = _convert(source, output, clips, targets, workers)
        results = [done[clip.id] for clip in clips]
        problems = [*problems, *audio_problems(corpus, clips, results)]
        kept = [(clip, result) for clip, result in zip(clips, results, strict=True) if result.error is None]
        if not kept:
            raise CorpusError(f"{source}: no clip could be read. The first: {results[0].error}")
        rows = [_row(corpus, clip, result, targets[clip.id]) for clip, result in kept]
        report = describe(corpus, rows, problems, plan=plan, output=output, documented=not is_folder)
        _finish(output, rows, kept, targets, report)
    return report


def _read(corpus: Corpus, source: Path) -> tuple[list[Clip], list[Problem], bool]:
    if not (source / METADATA).is_file():
        clips, problems = scan(corpus, source)
        return clips, problems, False
    # The rows of a folder are its own list of what must be there; the corpus' counts are not.
    return (*scan(replace(corpus, reader=_rows_of_folder(corpus), expected=Expected()), source), True)


def _rows_of_folder(corpus: Corpus) -> Reader:
    def read(source: Path) -> Iterator[Clip | Problem]:
        listed: set[str] = set()
        for row in read_metadata(source):
            name = row["file_name"]
            if row.get("corpus") not in (None, corpus.name):
                raise CorpusError(f"{source / METADATA}: {name} is of {row['corpus']}, not of {corpus.name}.")
            if not row.get("original_label"):
                raise CorpusError(f"{source / METADATA}: {name} has no original_label.")
            meant = corpus.emotion(str(row["original_label"]))
            if "emotion" in row and row["emotion"] != meant:
                stated = f"emotion {row['emotion']!r}, but {row['original_label']!r} is {meant!r}"
                raise CorpusError(f"{source / METADATA}: {name} has {stated} in {corpus.name}.")
            if not (source / name).is_file():
                yield Problem("missing file", name, f"listed in {METADATA}, not in the folder")
                continue
            listed.add(clip_id(name))
            speaker = row.get("speaker")
            yield Clip(
                id=clip_id(name),
                path=name,
                label=str(row["original_label"]),
                speaker=None if speaker is None else str(speaker),
                gender=row.get("gender"),
                language=row.get("language"),
                text=row.get("text"),
                official_split=row.get("official_split"),
                sentence=None if row.get("sentence_id") is None else str(row["sentence_id"]),
            )
        yield from unlisted({clip_id(path): path for path in files(source)}, listed, source / METADATA)

    return read


def _plan(corpus: Corpus, source: Path, clips: Sequence[Clip], problems: Sequence[Problem]) -> str:
    """A digest of all that decides the result: the clips, their files' sizes, the label table, the splits."""
    parts = [
        corpus.name,
        sorted(corpus.labels.items(), key=str),
        [(asdict(clip), (source / clip.path).stat().st_size, _split(corpus, clip)) for clip in clips],
        [asdict(problem) for problem in problems],
    ]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def _finished(output: Path, plan: str) -> Report | None:
    """The report of an earlier, whole and undamaged preparation of the very same clips."""
    if not (output / METADATA).is_file() or not (output / REPORT).is_file():
        return None
    report = Report.read(output)
    if report.facts.get("plan") != plan:
        return None
    try:
        verify_checksums(output)
    except CorpusError:
        return None
    shutil.rmtree(output / WORK, ignore_errors=True)
    return report


def _changed_since(output: Path, source: Path, clips: Sequence[Clip]) -> bool:
    """A recording that was written after the report: its size may be the same, its sound is not."""
    made = (output / REPORT).stat().st_mtime_ns
    return any((source / clip.path).stat().st_mtime_ns > made for clip in clips)


@contextmanager
def _claimed(output: Path) -> Iterator[None]:
    """Make the folder ours alone; a folder that holds something else is left alone."""
    ours = (output / WORK).is_dir() or (output / REPORT).is_file()
    if output.is_dir() and any(output.iterdir()) and not ours:
        raise CorpusError(f"{output} is not empty and was not made by `mser corpora prepare`; choose another.")
    (output / WORK).mkdir(parents=True, exist_ok=True)
    (output / CLIPS).mkdir(exist_ok=True)
    with (output / WORK / "lock").open("w") as lock:
        claim(lock, output)
        # The list of clips goes first: from here on the folder does not look finished until it is.
        for name in (METADATA, CHECKSUMS, REPORT):
            (output / name).unlink(missing_ok=True)
        yield


def _file_names(clips: Sequence[Clip]) -> dict[str, str]:
    """Clip id -> file name: readable, unique on every file system, and harmless to `datasets`.

    `datasets` takes a word like `test` that stands alone in a name for the name of a split and drops all
    other files; such a word gets a letter.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for clip in clips:
        words = re.split(r"([^A-Za-z]+)", re.sub(r"[^A-Za-z0-9_-]", "_", clip.id))
        stem = "".join(f"{word}x" if word.lower() in _SPLIT_WORDS else word for word in words)
        if stem.lower() in taken or len(stem) > _LONGEST_NAME:
            stem = f"{stem[:_LONGEST_NAME]}-{hashlib.sha256(clip.id.encode()).hexdigest()[:8]}"
        taken.add(stem.lower())
        names[clip.id] = f"{CLIPS}/{stem}.flac"
    return names


def _convert(
    source: Path, output: Path, clips: Sequence[Clip], files: dict[str, str], workers: int | None
) -> dict[str, Done]:
    by_path = sorted(clips, key=lambda clip: (clip.path, clip.id))
    jobs = [
        Job(
            str(source / path),
            tuple(Piece(clip.id, str(output / files[clip.id]), clip.start, clip.end) for clip in group),
        )
        for path, group in groupby(by_path, key=lambda clip: clip.path)
    ]
    journal = Journal(output / WORK / "journal.jsonl")
    done = journal.finished(jobs)
    left = [job for job in jobs if any(piece.id not in done for piece in job.pieces)]
    if workers is None:
        workers = max(1, min(os.cpu_count() or 1, len(left) // _CLIPS_A_WORKER))
    with _bar(len(jobs), len(jobs) - len(left)) as bar:
        for finished in convert_all(left, workers):
            journal.add(finished)
            done.update((result.id, result) for result in finished)
            bar.update()
    return done


def _bar(total: int, finished: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, initial=finished, unit="file", file=sys.stderr, disable=not sys.stderr.isatty())


def _split(corpus: Corpus, clip: Clip) -> str | None:
    return corpus.split_of(clip.speaker, clip.official_split)


def _row(corpus: Corpus, clip: Clip, done: Done, file_name: str) -> dict[str, Any]:
    return {
        "file_name": file_name,
        "emotion": corpus.emotion(clip.label),
        "original_label": clip.label,
        "speaker": clip.speaker,
        "gender": clip.gender,
        "language": clip.language or corpus.language,
        "text": clip.text,
        "duration": done.duration,
        "corpus": corpus.name,
        "split": _split(corpus, clip),
        "licence": corpus.licence,
        "official_split": clip.official_split,
        "sentence_id": clip.sentence,
        "source_file": clip.path,
        "audio_sha256": done.audio_sha256,
    }


def _finish(
    output: Path,
    rows: Sequence[dict[str, Any]],
    kept: Sequence[tuple[Clip, Done]],
    files: dict[str, str],
    report: Report,
) -> None:
    """Write the four files, the list of clips last, and sweep away what belongs to no clip."""
    metadata = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    sums = {files[clip.id]: done.sha256 for clip, done in kept}
    sums[METADATA] = hashlib.sha256(metadata.encode()).hexdigest()
    sums[REPORT] = hashlib.sha256(report.text().encode()).hexdigest()
    for path in (output / CLIPS).iterdir():
        if f"{CLIPS}/{path.name}" not in sums:
            path.unlink()
    _write(output / CHECKSUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))
    _write(output / REPORT, report.text())
    _write(output / METADATA, metadata)
    shutil.rmtree(output / WORK)


def _write(path: Path, text: str) -> None:
    partial = path.parent / WORK / path.name
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)
