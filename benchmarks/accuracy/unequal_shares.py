"""How far should adaptation take the labels for equally frequent? The same corpora, with labels as often as one likes.

    python benchmarks/accuracy/unequal_shares.py ../shared/corpora/{casia,emovo,spanish_uem,tess,urdu}

Of each corpus clips are drawn anew (three draws): as many of each label as there are; three or ten times as many of the
most frequent label as of the rarest, in a random order; seven tenths neutral. The checkpoint adapts to these clips and
answers them, among the corpus' own classes. Mean recall (UA) and the share of right answers (WA) in per cent, mean over
corpora and draws.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from zero_shot import Heard, recall

from hf_mser import MSERForEmotionGeneration, MSERProcessor
from hf_mser.evaluation.files import write_json, write_text
from hf_mser.registration import EMBEDDED_CHECKPOINT
from hf_mser.training.balance import drawn_clips, unequal_clips

SHARES = (0.0, 0.25, 0.5, 1.0)
DRAWS = 3
NEUTRAL, NEUTRAL_SHARE = 0, 0.7
CASES = {"as they are": 1.0, "3 : 1": 3.0, "10 : 1": 10.0, "seven tenths neutral": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="+", type=Path, help="folders of prepared corpora")
    parser.add_argument("--model", default=str(EMBEDDED_CHECKPOINT))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/unequal_shares.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = MSERForEmotionGeneration.from_pretrained(arguments.model, dtype=torch.float32).eval()
    processor = MSERProcessor.from_pretrained(arguments.model)
    figures: dict[str, dict[str, list[Any]]] = {case: {str(share): [] for share in SHARES} for case in CASES}
    for folder in arguments.corpora:
        heard = Heard(model, processor, folder)
        truth = heard.emotion
        for case, ratio in CASES.items():
            for draw in range(DRAWS if ratio != 1 else 1):
                clips = drawn(truth, ratio, np.random.default_rng(draw))
                for share in SHARES:
                    own = np.unique(truth[truth >= 0])
                    answer = own[heard.scores(clips, asked=clips, equal_shares=share)[:, own].argmax(1)]
                    right = 100 * float((answer == truth[clips]).mean())
                    figures[case][str(share)].append([folder.name, recall(answer, truth[clips]), right])
        print(folder.name, flush=True)
    write_json(arguments.output, {"protocol": __doc__, "figures": figures})
    write_text(arguments.output.with_suffix(".md"), table(figures))


def drawn(truth: np.ndarray, ratio: float | None, random: np.random.Generator) -> np.ndarray:
    """Clips of every label: the most frequent of them `ratio` times as often as the rarest, or mostly neutral ones."""
    if ratio == 1:
        return np.flatnonzero(truth >= 0)
    if ratio is not None:
        return unequal_clips(truth, ratio, random)
    labels = np.unique(truth[truth >= 0])
    shares = np.where(labels == NEUTRAL, NEUTRAL_SHARE, (1 - NEUTRAL_SHARE) / (len(labels) - 1))
    return drawn_clips(truth, shares, random)


def table(figures: dict[str, dict[str, list[Any]]]) -> str:
    """UA / WA of every case, by how far the labels are taken for equally frequent."""
    lines = [
        f"| labels | {' | '.join(f'equal_shares={share}' for share in SHARES)} |",
        "|---" + "|---:" * len(SHARES) + "|",
    ]
    for case, by_share in figures.items():
        cells = []
        for entries in by_share.values():
            names = sorted({name for name, *_ in entries})
            means = [np.mean([own[1:] for own in entries if own[0] == name], 0) for name in names]
            cells.append(" / ".join(f"{figure:.1f}" for figure in np.mean(means, 0)))
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "UA / WA, mser-tiny, five corpora that it never heard."]) + "\n"


if __name__ == "__main__":
    main()
