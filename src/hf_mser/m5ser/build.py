"""`build`: source corpora x languages become a dataset, as a folder that the Hub and `load_dataset` know.

    m5ser/
        README.md                     the card, with one configuration for each language
        data/fr/train-00000.parquet   sound and labels; one file for each language, split and unit of work
        dropped.jsonl                 every clip that is not in it, with the reason
        build.json                    the plan, and what came of it
        SHA256SUMS                    written last: a folder without it is not finished

A build that was killed at any moment goes on when the same command is given again, to byte-equal files.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing import Queue
from pathlib import Path
from typing import Any

from ..corpora.conversion import die_with_parent, worker_context
from ..corpora.metadata import CHECKSUMS
from ..corpora.schema import SPLITS
from ..disk import claim
from ..evaluation.files import remove_leftovers, write_bytes
from .card import card
from .filter import FilterRules
from .shards import M5SERError
from .sources import Source, read_sources
from .stages import WORK, Entry, Unit, generate, read_entry, save, sift
from .translate import LANGUAGES, translator

CLIPS_PER_UNIT = 100
BUILD, DROPPED, CARD = "build.json", "dropped.jsonl", "README.md"
_BYTES_PER_SECOND = 20_000  # FLAC of 16-bit speech at 16 kHz


@dataclass(frozen=True)
class Settings:
    """All that decides the bytes of a dataset, beside the sources."""

    languages: tuple[str, ...] = LANGUAGES
    translator: str = "prosody"
    options: dict[str, Any] = field(default_factory=dict)
    """Of the translator: `model`, ..."""
    rules: FilterRules = field(default_factory=FilterRules)
    balanced: bool = True
    clips_per_unit: int = CLIPS_PER_UNIT


@dataclass(frozen=True)
class Result:
    """A finished dataset."""

    folder: Path
    clips: int
    seconds: float
    dropped: int

    def summary(self) -> str:
        """One line about it."""
        return f"{self.folder}: {self.clips:,} clips, {self.seconds / 3600:.2f} h; {self.dropped:,} clips dropped"


class Worker:
    """Does one unit after the other with one translator on one device."""

    def __init__(self, folder: Path, settings: Settings, device: str | None = None) -> None:
        self.folder, self.settings = folder, settings
        options = settings.options | ({"device": device} if device else {})
        self.translator = translator(settings.translator, **options)

    def __call__(self, unit: Unit) -> Entry:
        """All stages of a unit."""
        candidates = list(generate(unit, self.translator, self.settings.languages))
        return save(self.folder, unit.name, sift(candidates, self.settings.rules, self.settings.balanced))


def build(
    sources: Sequence[str | Path],
    output: str | Path,
    settings: Settings = Settings(),
    *,
    splits: Sequence[str] = SPLITS,
    clips_per_emotion: int | None = None,
    workers: int | None = None,
    devices: Sequence[str] = (),
    ray: bool = False,
) -> Result:
    """Build M5SER from prepared corpora.

    Args:
        sources: Folders of prepared corpora, or their names.
        output: The folder of the dataset.
        settings: Languages, translator, filter.
        splits, clips_per_emotion: Which clips of the sources (`read_sources`).
        workers: Processes on this machine; by default one for each device, or for each core.
        devices: Of the translators (`cuda:0`, `cuda:1`).
        ray: Run the stages on Ray Data instead, over all machines of the cluster; they must share `output`.

    Example:
        >>> result = build(["crema_d"], "m5ser-mini", splits=["train"], clips_per_emotion=90)  # doctest: +SKIP
        >>> print(result.summary())  # doctest: +SKIP
    """
    output = Path(output).expanduser().absolute()
    found = read_sources(sources, splits=splits, clips_per_emotion=clips_per_emotion)
    made = translator(settings.translator, **settings.options)
    made.preflight(settings.languages, devices[0] if devices else None)
    plan = _plan(found, settings, made.version)
    finished = finished_result(output, plan)
    if finished is not None:
        return finished
    units = units_of(found, settings.clips_per_unit)
    with claimed(output, plan):
        _announce(found, settings, output)
        left = [unit for unit in units if read_entry(output, unit.name) is None]
        if ray:
            from .ray_build import run_on_ray

            run_on_ray(left, output, settings, workers, gpus=bool(devices))
        else:
            _run(left, units, output, settings, workers, devices)
        return finish(output, [unit.name for unit in units], plan)


def units_of(sources: Sequence[Source], size: int) -> list[Unit]:
    """The work in pieces: `size` sources of one split each.

    Example:
        >>> units_of([], 100)
        []
    """
    units = []
    for split in SPLITS:
        members = [source for source in sources if source.split == split]
        for number, start in enumerate(range(0, len(members), size)):
            units.append(Unit(split, number, tuple(members[start : start + size])))
    return units


def _plan(sources: Sequence[Source], settings: Settings, version: str) -> dict[str, Any]:
    """What decides the result, in a form that two builds can be compared by."""
    listed = [{**asdict(source), "path": Path(source.path).name} for source in sources]
    text = json.dumps(listed, ensure_ascii=False, sort_keys=True)
    return {
        **json.loads(json.dumps(asdict(settings))),
        "translator_version": version,
        "sources": len(sources),
        "corpora": sorted({source.corpus for source in sources}),
        "sources_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def finished_result(output: Path, plan: dict[str, Any]) -> Result | None:
    """The result of an earlier, finished build of the same plan."""
    if not (output / CHECKSUMS).is_file() or not (output / BUILD).is_file():
        return None
    facts = json.loads((output / BUILD).read_text(encoding="utf-8"))
    _refuse_other(output, facts["plan"], plan)
    shutil.rmtree(output / WORK, ignore_errors=True)
    return _result(output, facts)


@contextmanager
def claimed(output: Path, plan: dict[str, Any]) -> Iterator[None]:
    """Make the folder ours alone, for this plan; what another plan or program made is left alone."""
    held = output / WORK / "plan.json"
    if held.is_file():
        _refuse_other(output, json.loads(held.read_text(encoding="utf-8")), plan)
    elif output.is_dir() and any(path.name != WORK for path in output.iterdir()):
        raise M5SERError(f"{output} is not empty and holds no unfinished build; choose another folder.")
    try:
        (output / WORK / "units").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise M5SERError(f"{output}: the folder cannot be made ({error.strerror}); choose another.") from error
    with (output / WORK / "lock").open("w") as lock:
        claim(lock, output)
        for folder in (output, output / WORK, output / WORK / "units", *sorted(output.glob("data/*"))):
            remove_leftovers(folder)
        write_bytes(held, _json(plan))
        yield


def _refuse_other(output: Path, found: dict[str, Any], plan: dict[str, Any]) -> None:
    different = sorted(key for key in found.keys() | plan.keys() if found.get(key) != plan.get(key))
    if different:
        raise M5SERError(
            f"{output} was begun with other {', '.join(different)}. Give the settings of then, or another folder."
        )


def _announce(sources: Sequence[Source], settings: Settings, output: Path) -> None:
    """What is to come, and whether there is room for it."""
    seconds = sum(source.duration or 0.0 for source in sources) * (1 + len(settings.languages))
    needed, free = seconds * _BYTES_PER_SECOND, shutil.disk_usage(output).free
    print(
        f"{len(sources):,} sources, {len(settings.languages)} target languages: about "
        f"{len(sources) * (1 + len(settings.languages)):,} clips, {seconds / 3600:.1f} h, {needed / 1e9:.2f} GB; "
        f"{free / 1e9:.1f} GB are free",
        file=sys.stderr,
    )
    if needed > free:
        print("The disk will probably not hold it all; the build stops with an error when it is full.", file=sys.stderr)


def _run(
    left: Sequence[Unit],
    units: Sequence[Unit],
    output: Path,
    settings: Settings,
    workers: int | None,
    devices: Sequence[str],
) -> None:
    from tqdm import tqdm

    total = sum(len(unit.sources) for unit in units)
    done = total - sum(len(unit.sources) for unit in left)
    count = min(workers or len(devices) or os.cpu_count() or 1, max(1, len(left)))
    with tqdm(total=total, initial=done, unit="source", file=sys.stderr, mininterval=1.0) as bar:
        for unit in _finished_units(left, output, settings, count, devices):
            bar.update(len(unit.sources))


def _finished_units(
    left: Sequence[Unit], output: Path, settings: Settings, workers: int, devices: Sequence[str]
) -> Iterator[Unit]:
    """The units, as they get done."""
    if workers <= 1:
        worker = Worker(output, settings, devices[0] if devices else None) if left else None
        for unit in left:
            if worker is not None:
                worker(unit)
            yield unit
        return
    context = worker_context(__name__)
    queue: Any = context.Queue()
    for number in range(workers):
        queue.put(devices[number % len(devices)] if devices else None)
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(output, settings, queue)
    ) as pool:
        waiting = {pool.submit(_work, unit): unit for unit in left}
        try:
            for future in as_completed(waiting):
                future.result()
                yield waiting[future]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_own = threading.local()
"""The worker of a process of the pool."""


def _start_worker(output: Path, settings: Settings, devices: Queue[str | None]) -> None:
    die_with_parent()
    _own.worker = Worker(output, settings, devices.get())


def _work(unit: Unit) -> None:
    _own.worker(unit)


def finish(
    output: Path, unit_names: Sequence[str], plan: dict[str, Any], earlier: Sequence[dict[str, str]] = ()
) -> Result:
    """Put the units together: the lists, the card and, last, the checksums. `earlier`: clips dropped before."""
    entries = [_entry(output, name) for name in unit_names]
    files = {name: facts for entry in entries for name, facts in entry.files.items()}
    dropped = [*earlier, *(line for entry in entries for line in entry.dropped)]
    if not files:
        raise M5SERError(f"{output}: every clip was dropped. The first: {dropped[0] if dropped else 'no source'}.")
    for path in output.glob("data/*/*.parquet"):
        if path.relative_to(output).as_posix() not in files:
            path.unlink()
    facts = {"plan": plan, "dropped": len(dropped), "files": dict(sorted(files.items()))}
    texts: dict[str, bytes] = {
        BUILD: _json(facts),
        DROPPED: "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in dropped).encode(),
        CARD: card(facts, dropped).encode(),
    }
    for name, content in texts.items():
        write_bytes(output / name, content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in texts.items()}
    sums |= {name: file["sha256"] for name, file in files.items()}
    write_bytes(output / CHECKSUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode())
    shutil.rmtree(output / WORK)
    return _result(output, facts)


def _entry(output: Path, name: str) -> Entry:
    entry = read_entry(output, name)
    if entry is None:
        raise M5SERError(f"{output}: the unit {name} vanished while the build went on. Give the command again.")
    return entry


def _result(output: Path, facts: dict[str, Any]) -> Result:
    files = facts["files"].values()
    return Result(
        output, sum(file["clips"] for file in files), sum(file["seconds"] for file in files), facts["dropped"]
    )


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
