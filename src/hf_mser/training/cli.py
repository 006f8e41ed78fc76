"""`mser train RECIPE.yaml [key=value ...] [--dry-run]`."""

from __future__ import annotations

import argparse
import os
from typing import Any


def add_subcommand(subparsers: Any) -> None:
    """Add `train` to the subparsers of `mser`."""
    parser = subparsers.add_parser(
        "train",
        help="train a model by a recipe",
        description="On several devices: torchrun --nproc-per-node=N training/train.py RECIPE.yaml",
    )
    parser.add_argument("recipe", metavar="RECIPE.yaml")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="change the recipe: output_dir=DIR, resume=true, learning_rate=1e-4, data.train.0.split=train ...",
    )
    parser.add_argument("--dry-run", action="store_true", help="check the recipe, print what it will cost, and stop")
    parser.set_defaults(run=run, many="overrides")


def run(args: argparse.Namespace) -> int:
    """Run a parsed `train` command; prints the results of every set."""
    from .recipe import load_recipe
    from .run import train_recipe

    results = train_recipe(load_recipe(args.recipe, args.overrides), dry_run=args.dry_run)
    if os.environ.get("RANK", "0") != "0":
        return 0  # the first of several processes speaks for all
    for name, entry in results.get("sets", {}).items():
        interval = (entry.get("intervals") or {}).get("UA")
        span = f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else ""
        print(f"{name}: n {entry['n']}, WA {100 * entry['WA']:.1f}, UA {100 * entry['UA']:.1f}{span}")
    return 0
