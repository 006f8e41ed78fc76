"""M5SER, one corpus in six languages: how much there is of what, and one clip in all its languages.

    mser m5ser build --source crema_d --output m5ser        (once)
    python examples/load_m5ser.py [FOLDER or org/NAME] [SAMPLES]

It needs `pip install 'hf-mser[train]'`.
"""

# %% A folder that `mser m5ser build` wrote, or a name on the Hub
import sys
from collections import Counter
from pathlib import Path

import soundfile

from hf_mser import load_audio, load_m5ser

place = sys.argv[1] if len(sys.argv) > 1 else "m5ser"
samples = Path(sys.argv[2] if len(sys.argv) > 2 else "m5ser-samples")
train = load_m5ser(place, split="train")
words = train.features["emotion"].names

# %% Emotions by language. Sound stays undecoded until it is asked for, so this is quick
counts = Counter(zip(train["language"], train["emotion"], strict=True))
print(f"{'':<4}" + "".join(f"{word:>10}" for word in words))
for language in sorted(set(train["language"])):
    print(f"{language:<4}" + "".join(f"{counts[language, number]:>10}" for number in range(len(words))))

# %% One English recording, and what became of it in the other languages
original = next(row for row in train if row["language"] == "en")
samples.mkdir(exist_ok=True)
for row in train.filter(lambda name: name == original["source_id"], input_columns="source_id"):
    soundfile.write(samples / f"{row['language']}.wav", load_audio(row["audio"]), 16_000)
    print(f"{row['language']}  {words[row['emotion']]:<9} {row['duration']:.1f} s  {row['text']}")
print(f"-> {samples}")
