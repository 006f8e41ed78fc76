"""A folder of clips becomes a table: a row for each clip, a column for each emotion.

python examples/predict_folder.py [FOLDER] [TABLE.csv]
"""

# %% The clips, and where the table goes
import csv
import sys
from pathlib import Path

from transformers import pipeline

from hf_mser.audio import AUDIO_SUFFIXES

folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "clips")
table = Path(sys.argv[2] if len(sys.argv) > 2 else "emotions.csv")
clips = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)

# %% A list in, a list out, in the same order; a damaged file is noted and stops nothing
pipe = pipeline("speech-emotion")
answers = pipe(clips, batch_size=8, on_error="record")

# %% The table
with table.open("w", encoding="utf-8", newline="") as file:
    rows = csv.DictWriter(file, ["clip", "emotion", *pipe.model.config.labels, "error"])
    rows.writeheader()
    for clip, answer in zip(clips, answers, strict=True):
        if "error" in answer:
            rows.writerow({"clip": clip.name, "error": answer["error"]})
        else:
            scores = {entry["label"]: f"{entry['score']:.4f}" for entry in answer}
            rows.writerow({"clip": clip.name, "emotion": answer[0]["label"], **scores})
print(f"{len(clips)} clips -> {table}")
