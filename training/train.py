"""Train by a recipe, on one device or many.

python training/train.py training/recipes/debug.yaml
torchrun --nproc-per-node=4 training/train.py training/recipes/whisper_llama_multi_gpu.yaml
accelerate launch --config_file training/recipes/accelerate/fsdp.yaml training/train.py RECIPE.yaml key=value
"""

import sys

from hf_mser.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
