"""Build M5SER-mini from real English speech, take the time, and measure how much of the emotion is left.

    python benchmarks/m5ser.py --source ../shared/corpora/crema_d --work runs/m5ser

Writes `m5ser_mini.json` and `m5ser_mini.md`. The dataset goes to WORK/mini, the report with its figures to WORK/report.
Resumable.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from baseline_features import features
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from hf_mser.evaluation.clips import read_clips
from hf_mser.evaluation.files import write_json, write_text
from hf_mser.evaluation.metrics import confusion_matrix, measure
from hf_mser.m5ser import Settings, analyse, build
from hf_mser.m5ser.analyse import survival_table
from hf_mser.m5ser.build import Worker, units_of
from hf_mser.m5ser.measures import measure_dataset
from hf_mser.m5ser.sources import read_sources

RESULTS = Path(__file__).resolve().parent / "results"
SETTINGS = Settings(clips_per_unit=6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="CREMA-D, prepared")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--clips-per-emotion", type=int, default=86, help="86 x 6 emotions x 6 languages = 3,096 clips")
    parser.add_argument("--timed", type=int, default=2, help="units that are done once more to take the CPU time")
    options = parser.parse_args()
    chosen: dict[str, Any] = {"splits": ["train"], "clips_per_emotion": options.clips_per_emotion}
    result = build([options.source], options.work / "mini", SETTINGS, **chosen)
    numbers = {
        "clips": result.clips,
        "hours": round(result.seconds / 3600, 3),
        "dropped": result.dropped,
        "speed": speed(options.source, options.work / "timed", chosen, options.timed),
        **analyse(options.work / "mini", options.work / "report"),
        "taught_by_others": taught_by_others(options.source, options.work),
    }
    write_json(RESULTS / "m5ser_mini.json", numbers)
    write_text(RESULTS / "m5ser_mini.md", table(numbers))
    print(table(numbers))


def speed(source: Path, folder: Path, chosen: dict[str, Any], units: int) -> dict[str, float]:
    """Seconds of synthetic speech for each second of CPU time of one process, over the first units."""
    worker = Worker(folder, SETTINGS)
    made = 0.0
    begun = time.process_time()
    for unit in units_of(read_sources([source], **chosen), SETTINGS.clips_per_unit)[:units]:
        entry = worker(unit)
        made += sum(file["seconds"] for file in entry.files.values() if file["language"] != "en")
    seconds = time.process_time() - begun
    return {"synthetic_seconds": made, "cpu_seconds": seconds, "times_real_time": made / seconds}


def taught_by_others(source: Path, work: Path) -> dict[str, Any]:
    """The same classifier, taught by recordings of speakers that the dataset does not hold: every second clip of the
    source's validation and test speakers. A small dataset is too little to teach one."""
    clips = [clip for clip in read_clips(source) if clip.split in ("validation", "test") and clip.emotion][::2]
    known = features("egemaps", clips, work / "features")
    emotions = np.array([clip.emotion for clip in clips])
    folder = work / "mini"
    shards = sorted(path.relative_to(folder).as_posix() for path in folder.glob("data/*/*.parquet"))
    made = measure_dataset(folder, shards, next((work / "report" / "cache").iterdir()))
    model = make_pipeline(StandardScaler(), SVC(C=1.0)).fit(known, emotions)
    classes = sorted(set(emotions.tolist()))
    chance, found = 1 / len(classes), {}
    for language in ["en", *SETTINGS.languages]:
        own = made.languages == language
        said = model.predict(made.functionals[own])
        adapted = model.predict(_moved(made.functionals[own], known))
        found[language] = {
            name: measure(confusion_matrix(made.emotions[own].tolist(), answers.tolist(), classes))["UA"]
            for name, answers in (("UA", said), ("UA_adapted", adapted))
        }
    for entry in found.values():
        for name in ("UA", "UA_adapted"):
            entry[f"kept_{name}"] = (entry[name] - chance) / (found["en"][name] - chance)
    return {"recordings": len(clips), "chance": chance, "languages": found}


def _moved(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Values with the mean and deviation of others: what adaptation without labels does."""
    return (values - values.mean(0)) / np.maximum(values.std(0), 1e-6) * like.std(0) + like.mean(0)


def table(numbers: dict[str, Any]) -> str:
    """What the README quotes."""
    facts = json.loads(json.dumps(numbers))
    pace = facts["speed"]["times_real_time"]
    head = (
        f"{facts['clips']:,} clips, {facts['hours']:.2f} hours, {len(facts['contents'])} languages from "
        f"{facts['dataset']['sources']} recordings; {facts['dropped']} dropped. One core makes {pace:.1f} seconds of "
        "synthetic speech a second (CPU time)."
    )
    taught = facts["taught_by_others"]
    rows = [["", "UA", "kept", "UA, adapted", "kept, adapted"], ["---"] * 5]
    for language, entry in taught["languages"].items():
        cells = [100 * entry[key] for key in ("UA", "kept_UA", "UA_adapted", "kept_UA_adapted")]
        rows.append([language, f"{cells[0]:.1f}", f"{cells[1]:.0f} %", f"{cells[2]:.1f}", f"{cells[3]:.0f} %"])
    second = (
        f"The same classifier taught by {taught['recordings']} recordings of speakers that the dataset does not hold "
        f"(chance {100 * taught['chance']:.1f}):"
    )
    others = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "", *survival_table(numbers), "", second, "", *others])


if __name__ == "__main__":
    main()
