"""Another filter over a finished dataset: a new folder, the same clips less those that the rules drop."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..corpora.metadata import CHECKSUMS, verify_checksums
from .build import BUILD, DROPPED, Result, claimed, finish, finished_result
from .filter import FilterRules
from .loading import finished_folder
from .stages import read_entry, reread, save, sift


def refilter(folder: str | Path, output: str | Path, rules: FilterRules, *, balanced: bool = True) -> Result:
    """Write the clips of a dataset that pass the rules to a new one. Resumable like `build`.

    Example:
        >>> refilter("m5ser", "m5ser-clean", FilterRules(min_speech=0.3))  # doctest: +SKIP
    """
    folder = finished_folder(folder)
    output = Path(output).expanduser().absolute()
    verify_checksums(folder)
    facts = json.loads((folder / BUILD).read_text(encoding="utf-8"))
    plan: dict[str, Any] = {
        **facts["plan"],
        "rules": json.loads(json.dumps(asdict(rules))),
        "balanced": balanced,
        "filtered_from": hashlib.sha256((folder / CHECKSUMS).read_bytes()).hexdigest(),
    }
    finished = finished_result(output, plan)
    if finished is not None:
        return finished
    languages = sorted({file["language"] for file in facts["files"].values()})
    names = sorted({Path(name).stem for name in facts["files"]})
    with claimed(output, plan):
        for name in names:
            if read_entry(output, name) is None:
                split, _, number = name.rpartition("-")
                candidates = list(reread(folder, split, int(number), languages))
                save(output, name, sift(candidates, rules, balanced))
        earlier = [json.loads(line) for line in (folder / DROPPED).read_text(encoding="utf-8").splitlines()]
        return finish(output, names, plan, earlier)
