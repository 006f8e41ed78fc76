"""Copy the tables of benchmarks/results into the READMEs, between their markers.

    python benchmarks/quote.py [--check]

A marker is `<!-- figures: NAME -->`, closed by `<!-- end -->`; what stands between is benchmarks/results/NAME.md.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENTS = tuple(ROOT / folder / "README.md" for folder in ("", "training", "benchmarks"))
MARKED = re.compile(r"(<!-- figures: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def quoted(text: str, results: Path = RESULTS) -> str:
    """`text` with every marked block replaced by its results file."""

    def block(match: re.Match[str]) -> str:
        table = (results / f"{match['name']}.md").read_text(encoding="utf-8").strip()
        return f"{match[1]}{table}\n{match[3]}"

    return MARKED.sub(block, text)


def main() -> int:
    """Write the documents, or with `--check` say by the exit status whether they are up to date."""
    stale = False
    for document in DOCUMENTS:
        old = document.read_text(encoding="utf-8")
        new = quoted(old)
        stale |= new != old
        if "--check" not in sys.argv:
            document.write_text(new, encoding="utf-8")
    return int(stale and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
