"""How good is a model on recordings of one's own? Accuracy with intervals, confusion, and a report with figures.

    python examples/evaluate_own_corpus.py [FOLDER] [OUTPUT]

FOLDER holds clips and a metadata.jsonl of `{"file_name": ..., "emotion": ..., "speaker": ...}` lines. It needs
`pip install 'hf-mser[eval]'`; `mser evaluate --data FOLDER` does the same on the command line.
"""

# %% The clips, and a checkpoint: a folder or a name on the Hub, or None for the embedded one
import sys
from dataclasses import replace
from pathlib import Path

from hf_mser.evaluation.checkpoint import CheckpointFactory
from hf_mser.evaluation.clips import read_clips
from hf_mser.evaluation.evaluate import evaluate
from hf_mser.evaluation.protocols import protocol

folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "clips")
output = Path(sys.argv[2] if len(sys.argv) > 2 else "my-results")
checkpoint = CheckpointFactory(model=None)

# %% A protocol says what is tested on what; `whole-corpus` takes every clip, each language apart
clips = read_clips(folder)
if folder.name == "clips":  # the example clips are one a language, too few to be measured apart
    clips = [replace(clip, language=None) for clip in clips]
whole = protocol("whole-corpus")
tasks = whole.tasks(clips, seeds=[0])
results = evaluate(whole, tasks, checkpoint, checkpoint.identity(tasks), output)

# %% The figures; report.html beside them has the pictures
for result in results["results"]:
    print(f"{result['corpus']}: {result['n']} clips, UA {result['UA']:.1%}, 95 % interval {result['intervals']['UA']}")
    for emotion, recall in result["recall"].items():
        print(f"  {emotion:<10}{recall:4.0%}")
print(f"-> {output / 'report.html'}")
