"""Clips as points: embeddings of the same emotion lie close together, whatever the language.

python examples/embed_and_plot.py [FOLDER] [PICTURE.png]
"""

# %% One emotion embedding for each clip, of length 1
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from transformers import pipeline

from hf_mser.audio import AUDIO_SUFFIXES
from hf_mser.evaluation.plots import COLOURS

folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "clips")
picture = Path(sys.argv[2] if len(sys.argv) > 2 else "embeddings.png")
clips = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
answers = pipeline("speech-emotion")(clips, return_embeddings=True, batch_size=8)
embeddings = np.array([answer["embedding"] for answer in answers])

# %% Cosine similarity: who is like whom
similarity = embeddings @ embeddings.T
np.fill_diagonal(similarity, -1)
for clip, row in zip(clips, similarity, strict=True):
    print(f"{clip.name:<20} is most like {clips[row.argmax()].name:<20} {row.max():.2f}")

# %% Two principal components; for hundreds of clips, t-SNE shows more
centred = embeddings - embeddings.mean(0)
directions = np.linalg.svd(centred, full_matrices=False)[2][:2]
figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
for clip, answer, point in zip(clips, answers, centred @ directions.T, strict=True):
    axes.scatter(*point, color=COLOURS.get(answer["label"], "#999999"), s=50)
    axes.annotate(f" {clip.stem}", point, fontsize=8, va="center")
axes.set(xticks=[], yticks=[], title="colour: the emotion heard")
axes.margins(0.25)
figure.savefig(picture, dpi=120)
print(f"-> {picture}")
