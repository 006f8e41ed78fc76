"""The demo as a Hugging Face Space: the page of `mser demo` with the checkpoint that MSER_MODEL names.

The Space's variables: MSER_MODEL (default: the embedded mser-tiny), MSER_MAX_MINUTES, MSER_MAX_MEGABYTES.
"""

import os

from hf_mser.commands.predict import load_pipeline
from hf_mser.demo.limits import Limits
from hf_mser.demo.page import build_page, launch_page

model = os.environ.get("MSER_MODEL") or None
limits = Limits(
    minutes=float(os.environ.get("MSER_MAX_MINUTES", Limits.minutes)),
    megabytes=int(os.environ.get("MSER_MAX_MEGABYTES", Limits.megabytes)),
)
demo = build_page(load_pipeline(model), limits, model or "mser-tiny")

if __name__ == "__main__":
    launch_page(demo, limits)
