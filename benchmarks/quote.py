"""Copy the tables of benchmarks/results into the README, between their markers.

    python benchmarks/quote.py [--check]

A marker is `<!-- figures: NAME -->`, closed by `<!-- end -->`; what stands between is benchmarks/results/NAME.md.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MARKED = re.compile(r"(<!-- figures: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def quoted(text: str, results: Path = RESULTS) -> str:
    """`text` with every marked block replaced by its results file."""

    def block(match: re.Match[str]) -> str:
        table = (results / f"{match['name']}.md").read_text(encoding="utf-8").strip()
        return f"{match[1]}{table}\n{match[3]}"

    return MARKED.sub(block, text)


def main() -> int:
    readme = ROOT / "README.md"
    old = readme.read_text(encoding="utf-8")
    new = quoted(old)
    if "--check" in sys.argv:
        return int(new != old)
    readme.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
