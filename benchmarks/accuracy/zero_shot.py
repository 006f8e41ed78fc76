"""A checkpoint on whole corpora that it never heard: as it is, and after adaptation to unlabelled clips.

    python benchmarks/accuracy/zero_shot.py ../shared/corpora/{casia,emovo,spanish_uem,tess,urdu} \\
        --output benchmarks/results/accuracy_mser_tiny.json

UA twice: among the corpus' own classes (what `candidate_labels` gives) and among all of the model's. Adaptation
is repeated with random handfuls of clips, and with all clips, told who speaks in them or which labels occur. Intervals
are bootstrapped over speakers. Of the few clips longer than the model's window, its length is heard. Calibration:
the expected error of the score among all of the model's labels, and the accuracy of the surest answers (risk and
coverage). With `--seeds`, what this command wrote for checkpoints of the same recipe and other seeds, the table says
how much a seed matters.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_mser import MSERForEmotionGeneration, MSERProcessor
from hf_mser.adaptation import adapt_to_frames, unadapted_afterwards
from hf_mser.audio import SAMPLING_RATE, load_audio
from hf_mser.corpora import load_corpus
from hf_mser.evaluation.metrics import expected_calibration_error
from hf_mser.registration import EMBEDDED_CHECKPOINT

HANDFULS = (10, 30, 100, 300)
KINDS = ("without", "with_all_clips", "with_n_clips", "with_all_clips_and_speakers", "with_all_clips_and_labels")
DRAWS = 3
RESAMPLED = 1000
COVERAGE = (1.0, 0.8, 0.6, 0.4, 0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="+", type=Path, help="folders of prepared corpora")
    parser.add_argument("--model", default=str(EMBEDDED_CHECKPOINT))
    parser.add_argument("--seeds", nargs="+", type=Path, default=[], help="results of the recipe's other seeds")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    model = MSERForEmotionGeneration.from_pretrained(arguments.model, dtype=torch.float32).eval()
    processor = MSERProcessor.from_pretrained(arguments.model)
    results: dict[str, Any] = {}
    others = [json.loads(path.read_text(encoding="utf-8"))["corpora"] for path in arguments.seeds]
    for folder in arguments.corpora:
        results[folder.name] = measure_corpus(model, processor, folder)
        print(folder.name, json.dumps(results[folder.name]["UA"]), flush=True)
        part = arguments.output.with_suffix(".part")
        part.write_text(json.dumps({"protocol": __doc__, "corpora": results}, indent=1), encoding="utf-8")
        os.replace(part, arguments.output)
        arguments.output.with_suffix(".md").write_text(table(results, others), encoding="utf-8")


def table(results: dict[str, Any], others: Sequence[dict[str, Any]] = ()) -> str:
    """The figures as Markdown, with their mean, and the means of other seeds."""
    rows = []
    for name, result in results.items():
        own, adapted, few, *told = (result["UA"][kind] for kind in KINDS)
        sure = result["calibration"]["without"]
        cells = [name, len(result["classes"]), result["clips"], _cell(own)]
        cells += [*(f"{few[str(count)]:.1f}" for count in HANDFULS), _cell(adapted), *map(_cell, told)]
        cells += [f"{100 * sure['ece']:.1f}", f"{sure['accuracy_at_coverage']['40%']:.1f}"]
        rows.append(f"| {' | '.join(map(str, cells))} |")
    means = _means(results)
    rows.append(f"| mean | | | {' | '.join(f'{mean:.1f}' for mean in means)} | | |")
    if others:
        seeds = np.array([means, *([_means({name: other[name] for name in results}) for other in others])])
        cells = [f"{mean:.1f} ± {spread:.1f}" for mean, spread in zip(seeds.mean(0), seeds.std(0, ddof=1), strict=True)]
        rows.append(f"| mean of {len(seeds)} seeds | | | {' | '.join(cells)} | | |")
    kinds = (
        "UA as it is",
        f"adapted to {HANDFULS[0]} clips",
        *map(str, HANDFULS[1:]),
        "all clips",
        "and told who speaks",
        "or told which emotions occur",
    )
    names = ("corpus", "classes", "clips", *kinds, "ECE", "accuracy of the surest 40 %")
    head = f"| {' | '.join(names)} |"
    return "\n".join([head, "|---|---:|---:|---|---:|---:|---:|---:|---|---|---|---:|---:|", *rows, ""])


def _means(results: dict[str, Any]) -> list[float]:
    """UA over the corpora: as it is, adapted to each handful, to all clips, and told more of these."""
    of_corpora = [
        [
            result["UA"]["without"]["own_classes"],
            *(result["UA"]["with_n_clips"][str(count)] for count in HANDFULS),
            *(result["UA"][kind]["own_classes"] for kind in ("with_all_clips", *KINDS[3:])),
        ]
        for result in results.values()
    ]
    return [float(mean) for mean in np.mean(of_corpora, 0)]


def _cell(figures: dict[str, Any]) -> str:
    low, high = figures["interval_95"]
    return f"{figures['own_classes']:.1f} ({low:.1f}–{high:.1f})"


def measure_corpus(model: Any, processor: Any, folder: Path) -> dict[str, Any]:
    """All figures of one corpus."""
    heard = Heard(model, processor, folder)
    emotion, voices = heard.emotion, heard.voices
    labelled = np.flatnonzero(emotion >= 0)
    truth, own = emotion[labelled], np.unique(emotion[labelled])

    def figures(scores: np.ndarray) -> dict[str, Any]:
        chosen = own[scores[labelled][:, own].argmax(1)]
        return {
            "own_classes": round(recall(chosen, truth), 1),
            "all_classes": round(recall(scores[labelled].argmax(1), truth), 1),
            "interval_95": interval(chosen, truth, voices[labelled]),
        }

    everything = np.arange(len(emotion))
    plain, after, told = heard.scores(None), heard.scores(everything), heard.scores(everything, told=True)
    among_own = heard.scores(everything, labels=[model.config.labels[number] for number in own])
    random = np.random.default_rng(0)
    few = {}
    for count in HANDFULS:
        draws = [random.choice(everything, min(count, len(emotion)), replace=False) for _ in range(DRAWS)]
        few[str(count)] = round(float(np.mean([figures(heard.scores(draw))["own_classes"] for draw in draws])), 1)
    sureness = {
        name: confidence_figures(scores[labelled], truth)
        for name, scores in (("without", plain), ("with_all_clips", after))
    }
    confusion = np.zeros((len(model.config.labels), len(model.config.labels)), int)
    np.add.at(confusion, (truth, after[labelled].argmax(1)), 1)
    return {
        "clips": len(labelled),
        "classes": [model.config.labels[number] for number in own],
        "UA": dict(zip(KINDS, (figures(plain), figures(after), few, figures(told), figures(among_own)), strict=True)),
        "calibration": sureness,
        "confusion_adapted": confusion.tolist(),
    }


def confidence_figures(logits: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """How much the scores are worth: their calibration error, and the accuracy if only the surest are answered."""
    probabilities = torch.from_numpy(logits).softmax(1).numpy()
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    surest = right[np.argsort(-confidence, kind="stable")]
    accuracy = {
        f"{share:.0%}": round(100 * float(surest[: round(share * len(surest))].mean()), 1) for share in COVERAGE
    }
    return {
        "ece": round(expected_calibration_error(confidence.tolist(), right.tolist()), 3),
        "mean_confidence": round(float(confidence.mean()), 3),
        "accuracy_at_coverage": accuracy,
    }


class Heard:
    """What the encoder made of a corpus' clips: the same before and after adaptation, so it is computed once.

    `emotion` holds their labels' numbers, -1 where there is none, and `voices` who speaks.
    """

    @torch.no_grad()
    def __init__(self, model: Any, processor: Any, corpus: Path) -> None:
        clips = list(load_corpus(corpus))
        self.model = model
        self.emotion = np.array([-1 if clip["emotion"] is None else int(clip["emotion"]) for clip in clips])
        self.voices = np.array([str(clip["speaker"]) for clip in clips])
        longest = int(model.config.window_seconds * SAMPLING_RATE)
        samples = [load_audio(clip["audio"])[:longest] for clip in clips]
        self.batches = []
        order = sorted(range(len(samples)), key=lambda number: len(samples[number]))
        for start in range(0, len(order), 32):
            rows = np.array(order[start : start + 32])
            features, features_mask = processor.extract_features([samples[row] for row in rows])
            frames, mask = model.encode_speech(features, features_mask)
            if mask is None:
                mask = torch.ones(len(frames), frames.shape[2], dtype=torch.bool)
            self.batches.append((rows, frames.half(), mask))

    @torch.no_grad()
    def scores(
        self, adapted_to: np.ndarray | None, told: bool = False, asked: np.ndarray | None = None, **options: Any
    ) -> np.ndarray:
        """What a softmax makes probabilities of (clips, labels), after adaptation to some of the clips.

        The model is told who speaks in these, or finds out; who speaks in the clips that it answers is never told.
        It answers all clips, or those asked, in their order.
        """
        model, clips = self.model, np.arange(len(self.emotion)) if asked is None else asked
        scores = np.zeros((len(self.emotion), len(model.config.labels)))
        with unadapted_afterwards(model):
            if adapted_to is not None:
                adapt_to_frames(model, self._of(adapted_to, told), **options)
            for rows, frames, mask in self._batches_of(clips):
                own = model.score_emotions(speech_frames=frames, speech_frames_mask=mask)
                scores[rows] = (own / model.config.temperature).numpy()
        return scores[clips]

    def _of(self, clips: np.ndarray, told: bool) -> Iterator[tuple[Any, ...]]:
        for rows, frames, mask in self._batches_of(clips):
            yield frames, mask, [self.voices[row] if told else None for row in rows]

    def _batches_of(self, clips: np.ndarray) -> Iterator[tuple[np.ndarray, torch.Tensor, torch.Tensor]]:
        """Numbers, frames and mask of these clips, those of similar length together."""
        for rows, frames, mask in self.batches:
            chosen = np.flatnonzero(np.isin(rows, clips))
            if len(chosen):
                places = torch.from_numpy(chosen)
                yield rows[chosen], frames[places].float(), mask[places]


def recall(predicted: np.ndarray, truth: np.ndarray) -> float:
    """UA in per cent: the mean over classes of the share that was found."""
    return float(100 * np.mean([(predicted[truth == kind] == kind).mean() for kind in np.unique(truth)]))


def interval(predicted: np.ndarray, truth: np.ndarray, speakers: np.ndarray) -> list[float]:
    """95 % of the UA when speakers are drawn anew."""
    random = np.random.default_rng(0)
    names = np.unique(speakers)
    members = {name: np.flatnonzero(speakers == name) for name in names}
    values = []
    for _ in range(RESAMPLED):
        rows = np.concatenate([members[name] for name in random.choice(names, len(names))])
        values.append(recall(predicted[rows], truth[rows]))
    low, high = np.percentile(values, [2.5, 97.5])
    return [round(float(low), 1), round(float(high), 1)]


if __name__ == "__main__":
    main()
