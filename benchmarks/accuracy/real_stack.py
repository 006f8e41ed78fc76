"""MSER on real, small backbones by leave-one-language-out, against the paper's form and linear probes.

    python benchmarks/accuracy/real_stack.py --data ../shared/corpora --cache runs/study/cache \\
        --backbones ../shared/weights --work runs/study/real --minutes 10

whisper-base's encoder and stories260K, a LLaMA that knows hardly any words: it is the form of an LLM, not its
knowledge. All clips of the other languages teach, English first where it is not the one left out. Nothing is chosen
here; the form is the best of `study_arms.py`, chosen with the corpora of group A left out, which are not quite blind
for it. A killed command goes on with the first run that is missing, seed after seed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from real_stack_report import write_reports
from study_arms import ARMS, CHOSEN
from study_features import Heard
from study_probe import ProbeRun
from study_runs import Run, Table, begin, study_parser
from study_training import PAPERS, Form

FORMS: dict[str, Form] = {
    "ours": replace(ARMS[CHOSEN], stages=(("en", 40), ("all", 80))),
    "paper": replace(PAPERS, stages=(("en", 130), ("all", 270)), queries=8),  # it learns more slowly
}
SYSTEMS = (*FORMS, "probe")
SEEDS = (0, 1, 2)


def main() -> None:
    """Run what is missing, one seed after the other, and write the tables."""
    parser = study_parser(__doc__, "accuracy_real_stack")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the prepared corpora")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    arguments = parser.parse_args()
    clock, everything, table, backbones = begin(arguments)
    for seed in SEEDS:
        for system in arguments.systems:
            for language in sorted(set(table.language)):
                run = run_of(system, language, seed, everything, table, arguments.work)
                if not run.path.exists():
                    clock.stop_if_over()
                    run.scores(everything, table, backbones)
                    print(system, language, seed, flush=True)
        write_reports(arguments.data, everything, arguments.work, arguments.output)


def run_of(system: str, language: str, seed: int, everything: Heard, table: Table, work: Path) -> Run | ProbeRun:
    """A system that learns from all clips of other languages and answers those of this one."""
    taught, tested = np.flatnonzero(table.language != language), np.flatnonzero(table.language == language)
    path = work / system / f"{language}-{seed}.npz"
    if system == "probe":
        return ProbeRun(path, taught, tested, seed)
    return Run(path, FORMS[system], taught, tested, seed)


if __name__ == "__main__":
    main()
