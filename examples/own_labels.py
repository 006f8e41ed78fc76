"""Words of one's own: the LLM weighs whatever words it is given, without any training.

python examples/own_labels.py [CLIP] [WORD,WORD,...]
"""

# %% One clip, three ways to ask
import sys
from pathlib import Path

from transformers import pipeline

import hf_mser  # noqa: F401 (makes "speech-emotion" known)

clip = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "clips" / "de_angry.flac")
own = sys.argv[2].split(",") if len(sys.argv) > 2 else ["joyful", "furious", "scared"]
pipe = pipeline("speech-emotion")
questions = {"the model's own words": None, "fewer of them": ["happy", "sad", "angry"], "words of one's own": own}

# %% The probabilities add up to 1 over the words that were asked for
for name, words in questions.items():
    print(f"\n{name}")
    for entry in pipe(clip, **({"candidate_labels": words} if words else {})):
        print(f"  {entry['label']:<12}{'█' * round(30 * entry['score']):<31}{entry['score']:4.0%}")
