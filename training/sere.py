"""Train SERE by a recipe: five labels per emotion of a source corpus, none of the target.

    python training/sere.py training/recipes/sere.yaml data.source=emodb data.target=emovo seed=1

The same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import sys

from hf_mser.errors import MSERError
from hf_mser.training.sere.recipe import load_sere_recipe
from hf_mser.training.sere.run import train_sere


def main() -> int:
    """Train, and print what the target's clips were read as."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", metavar="RECIPE.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    arguments = parser.parse_args()
    try:
        results = train_sere(load_sere_recipe(arguments.recipe, arguments.overrides))
    except MSERError as error:
        print(f"sere: {error}", file=sys.stderr)
        return 2
    for entry in results["results"]:
        print(f"{entry['source']} > {entry['corpus']}: n {entry['n']}, UA {100 * entry['UA']:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
