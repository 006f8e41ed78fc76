"""How the emotion moves through a call: the waveform above, the probability of every emotion below.

python examples/call_timeline.py [CALL] [PICTURE.png]
"""

# %% A call of any length is read in overlapping windows
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from transformers import pipeline

from hf_mser import load_audio
from hf_mser.evaluation.plots import COLOURS

call = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "call.ogg")
picture = Path(sys.argv[2] if len(sys.argv) > 2 else "call.png")
pipe = pipeline("speech-emotion")
answer = pipe(call, return_timestamps=True, window_s=4.0, hop_s=1.0, batch_size=8)

# %% The windows in words
for part in answer["segments"][::4]:
    print(f"{part['start']:5.1f} – {part['end']:4.1f} s  {part['label'] or 'not sure':<9}{part['score']:4.0%}")
print(f"the whole call: {answer['label'] or 'not sure'}, {answer['score']:.0%}")

# %% The windows as a picture: every emotion's share of every moment
labels = pipe.model.config.labels
middles = [(part["start"] + part["end"]) / 2 for part in answer["segments"]]
scores = [{entry["label"]: entry["score"] for entry in part["scores"]} for part in answer["segments"]]

figure, (wave, shares) = plt.subplots(2, 1, figsize=(9, 4), sharex=True, layout="constrained")
samples = load_audio(call)
wave.plot([place / 16_000 for place in range(0, len(samples), 80)], samples[::80], color="#555555", lw=0.5)
wave.set(ylabel="waveform", yticks=[])
colours = [COLOURS.get(label) for label in labels]
shares.stackplot(middles, [[score[label] for score in scores] for label in labels], labels=labels, colors=colours)
shares.set(xlabel="seconds", ylabel="probability", ylim=(0, 1), xlim=(0, len(samples) / 16_000))
shares.legend(ncols=len(labels), fontsize=7, loc="upper center", bbox_to_anchor=(0.5, 1.2), frameon=False)
figure.savefig(picture, dpi=120)
print(f"-> {picture}")
