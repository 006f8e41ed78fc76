"""The README keeps its word: its figures are those of the results files, its files are there."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from quote import DOCUMENTS, quoted  # noqa: E402


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.parent.name)
def test_figures_are_those_of_the_results_files(document):
    text = document.read_text(encoding="utf-8")
    assert quoted(text) == text, "run `make figures`"


def test_quoting_replaces_the_marked_block_only(tmp_path):
    (tmp_path / "speed.md").write_text("| a |\n|---|\n| 1 |\n", encoding="utf-8")
    text = "before\n<!-- figures: speed -->\nold\n<!-- end -->\nafter\n"
    assert quoted(text, tmp_path) == "before\n<!-- figures: speed -->\n| a |\n|---|\n| 1 |\n<!-- end -->\nafter\n"


def test_local_links_lead_somewhere():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", readme) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
