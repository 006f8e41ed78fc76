"""Fine-tune on a folder of one's own: clips beside a metadata.jsonl of `{"file_name": ..., "emotion": ...}` lines.

    python examples/fine_tune.py [FOLDER] [OUTPUT]

It needs `pip install 'hf-mser[train]'`. The synthetic clips that it takes by default show how it is done; they are
too few to make a better model.
"""

# %% The clips, and where the new model goes
import sys
from pathlib import Path

from transformers import pipeline

folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "clips")
output = Path(sys.argv[2] if len(sys.argv) > 2 else "my-mser")

# %% Ten lines. With two or more clips of each emotion, leave `objective` and `balanced_batches` out: the default
# objective then also pulls clips of one emotion together and pushes others apart.
from hf_mser import load_corpus, load_embedded  # noqa: E402
from hf_mser.training import MSERTrainer, MSERTrainingArguments  # noqa: E402

clips = load_corpus(folder)
model, processor = load_embedded()
args = MSERTrainingArguments(output_dir=output, num_train_epochs=8, per_device_train_batch_size=7, learning_rate=1e-4,
    objective=[{"name": "cross_entropy"}], balanced_batches=False, save_strategy="no", report_to="none")  # fmt: skip
trainer = MSERTrainer(model, args, train_dataset=clips, processing_class=processor)
trainer.train()
trainer.save_model(output)

# %% What it has learned, on the clips that it learned from
before, after = pipeline("speech-emotion"), pipeline("speech-emotion", model=str(output))
words = clips.features["emotion"].names
for clip in clips:
    emotion = words[clip["emotion"]]
    old, new = ({entry["label"]: entry["score"] for entry in pipe(clip["audio"])}[emotion] for pipe in (before, after))
    print(f"{Path(clip['audio']['path']).name:<20} probability of {emotion:<9}{old:4.0%} -> {new:4.0%}")
