"""What all readers share: walking a distribution, matching names, reading tables, counting what is there."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from .definition import Clip, Corpus, Problem, Reader
from .schema import CorpusError, CorpusNotFoundError

AUDIO_ENDINGS = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".mp4", ".m4a", ".avi", ".aif", ".aiff"})
_LITTER = (".", "__MACOSX")
Groups = dict[str, str]


def files(source: Path, endings: Iterable[str] = AUDIO_ENDINGS) -> list[str]:
    """Relative POSIX paths of all files with these endings, sorted, without hidden files and macOS litter.

    Links to folders are followed, each folder once: large corpora are often spread over disks.
    """
    wanted = tuple(endings)
    found: list[str] = []
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(source, followlinks=True):
        visited.add(os.path.realpath(folder))
        subfolders[:] = [
            name
            for name in subfolders
            if not name.startswith(_LITTER) and os.path.realpath(os.path.join(folder, name)) not in visited
        ]
        above = Path(os.path.relpath(folder, source)).as_posix()
        prefix = "" if above == "." else f"{above}/"
        found += [prefix + name for name in names if name.lower().endswith(wanted) and not name.startswith(_LITTER)]
    return sorted(found)


def by_name(
    pattern: str,
    *,
    labels: Mapping[str, str] | None = None,
    genders: Mapping[str, str] | Callable[[str], str | None] | None = None,
    texts: Mapping[str, str] | None = None,
    details: Callable[[Groups], Groups] | None = None,
    ignore: str | None = None,
) -> Reader:
    """A reader for corpora whose file names say everything.

    Args:
        pattern: A regular expression for the end of the relative path, whole path components. Its groups are
            fields of `Clip` (`label`, `speaker`, `gender`, `language`, `text`, `sentence`, `official_split`).
        labels: Code in the name -> original label (a code that is not listed stays as it is, and is checked).
        genders: Speaker -> gender.
        texts: Sentence -> text.
        details: Changes the groups of one file before they become a clip.
        ignore: Audio files that belong to the distribution but are not emotional speech.
    """
    form = re.compile(rf"(?:^|/)(?:{pattern})$")
    skipped = re.compile(rf"(?:^|/)(?:{ignore})$") if ignore else None

    def read(source: Path) -> Iterator[Clip | Problem]:
        for path in files(source):
            match = form.search(path)
            if match is None:
                if skipped is None or not skipped.search(path):
                    yield Problem("unrecognised file", path, "not named as the corpus documents")
                continue
            groups = {name: value for name, value in match.groupdict().items() if value is not None}
            if details is not None:
                groups = details(groups)
            groups["label"] = (labels or {}).get(groups["label"], groups["label"])
            clip = Clip(id=clip_id(path), path=path, **groups)  # type: ignore[arg-type]
            yield _with_people(clip, genders, texts)

    return read


def _with_people(
    clip: Clip,
    genders: Mapping[str, str] | Callable[[str], str | None] | None,
    texts: Mapping[str, str] | None,
) -> Clip:
    gender, text = clip.gender, clip.text
    if genders is not None and clip.speaker is not None:
        gender = genders(clip.speaker) if callable(genders) else genders.get(clip.speaker)
    if texts is not None and clip.sentence is not None:
        text = texts.get(clip.sentence)
    return replace(clip, gender=gender, text=text)


def clip_id(path: str) -> str:
    """The id of a clip: its relative path without the ending."""
    return PurePosixPath(path).with_suffix("").as_posix()


def people(female: str = "", male: str = "") -> dict[str, str]:
    """Speaker -> gender from two lists of ids separated by spaces.

    Example:
        >>> people(female="f1 f2", male="m1")["f2"]
        'female'
    """
    return dict.fromkeys(female.split(), "female") | dict.fromkeys(male.split(), "male")


def one_file(source: Path, name: str) -> Path:
    """The one file below `source` whose path ends in `name`; none or several is an error."""
    candidates = sorted(source.rglob(PurePosixPath(name).name))
    found = [path for path in candidates if path.as_posix().endswith("/" + name)]
    if len(found) != 1:
        state = f"{len(found)} files" if found else "no file"
        raise CorpusNotFoundError(f"{source}: {state} {name}; exactly one belongs to the distribution.")
    return found[0]


def table(path: Path, *columns: str, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """The rows of a CSV file; a missing column or an empty table is an error that names the file."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines, delimiter=delimiter)
        missing = [column for column in columns if column not in (rows.fieldnames or ())]
        if missing:
            raise CorpusError(f"{path}: no column {', '.join(missing)}; the columns are {rows.fieldnames}.")
        empty = True
        for row in rows:
            empty = False
            yield row
    if empty:
        raise CorpusError(f"{path}: the table is empty.")


def scan(corpus: Corpus, source: Path) -> tuple[list[Clip], list[Problem]]:
    """All clips of a distribution, sorted by id, and everything that is wrong with them.

    An unknown label is an `UnknownLabelError`; a distribution without a single clip is a `CorpusError`.
    """
    if not source.is_dir():
        hint = "unpack the archive first" if source.is_file() else "there is no such folder"
        raise CorpusNotFoundError(f"{source}: {hint}. {corpus.title} needs: {corpus.layout}")
    clips: list[Clip] = []
    problems: list[Problem] = []
    for found in corpus.reader(source):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            clips.append(found)
            corpus.emotion(found.label)
    if not clips:
        first = f" {len(problems)} other findings, the first: {problems[0]}." if problems else ""
        raise CorpusError(f"{source}: no clip of {corpus.title}. It needs: {corpus.layout}.{first}")
    clips.sort(key=lambda clip: clip.id)
    _refuse_equal_ids(clips)
    return clips, [*problems, *_two_people(clips), *differences(corpus, clips)]


def _refuse_equal_ids(clips: Iterable[Clip]) -> None:
    for clip, count in Counter(clip.id for clip in clips).items():
        if count > 1:
            raise CorpusError(f"{clip}: {count} clips with one id; two copies of the corpus in one folder?")


def _two_people(clips: Iterable[Clip]) -> Iterator[Problem]:
    genders: dict[str, dict[str, str]] = {}
    for clip in clips:
        if clip.speaker is not None and clip.gender is not None:
            genders.setdefault(clip.speaker, {}).setdefault(clip.gender, clip.id)
    for speaker, found in sorted(genders.items()):
        if len(found) > 1:
            first, second = sorted(found.items())[:2]
            message = f"{first[0]} in {first[1]}, {second[0]} in {second[1]}: two people under one id"
            yield Problem("speaker conflict", speaker, message)


def differences(corpus: Corpus, clips: Iterable[Clip]) -> Iterator[Problem]:
    """Where a copy differs from what the documentation counts: clips, speakers, clips of each label."""
    clips = list(clips)
    expected = corpus.expected
    if expected.clips is not None and len(clips) != expected.clips:
        yield _count("clips", expected.clips, len(clips), corpus.name)
    speakers = {clip.speaker for clip in clips if clip.speaker is not None}
    if expected.speakers is not None and len(speakers) != expected.speakers:
        yield _count("speakers", expected.speakers, len(speakers), corpus.name)
    found = Counter(clip.label for clip in clips)
    for label, count in expected.labels.items():
        if found[label] != count:
            yield _count(f"clips labelled {label}", count, found[label], corpus.name)


def _count(what: str, expected: int, found: int, where: str) -> Problem:
    trouble = f"{expected - found} missing" if found < expected else f"{found - expected} too many"
    return Problem("unexpected count", where, f"{found} {what}, documented are {expected}: {trouble}")


def by_tail(source: Path, parts: int = 1) -> dict[str, str]:
    """The audio files of a distribution by the last `parts` components of their path, without the ending.

    Tables name files so, whatever folders a copy has above them. Two files of one name are an error.
    """
    found: dict[str, str] = {}
    for path in files(source):
        tail = "/".join(PurePosixPath(clip_id(path)).parts[-parts:])
        if tail in found:
            raise CorpusError(f"{source}: {found[tail]} and {path} are both {tail}; keep one copy of the corpus.")
        found[tail] = path
    return found


def unlisted(audio: Mapping[str, str], listed: Iterable[str], table_: Path) -> Iterator[Problem]:
    """One problem for all sound that a table does not list: a table cut short must not pass for a small corpus."""
    left = sorted(set(audio) - set(listed))
    if left:
        yield Problem("unlisted file", audio[left[0]], f"{len(left)} sound files are not in {table_.name}, this first")


def missing(name: str, table_: Path) -> Problem:
    """The problem of a clip that a table lists and the folder does not hold."""
    return Problem("missing file", name, f"listed in {table_.name}, not in the folder")
