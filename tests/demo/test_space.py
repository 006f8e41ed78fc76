"""The folder `space/` is a complete Hugging Face Space."""

import re
import runpy
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SPACE = ROOT / "space"


def test_the_card_describes_what_is_there():
    _, front, text = (SPACE / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    card = yaml.safe_load(front)
    assert card["sdk"] == "gradio"
    assert (SPACE / card["app_file"]).is_file()
    tried = re.search(r"^gradio==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert card["sdk_version"] == tried.group(1)
    assert len(card["short_description"]) <= 60, "the Hub refuses longer ones"
    assert "AI Act" in text


def test_the_app_builds_the_page_of_the_model_it_is_told(monkeypatch):
    gradio = pytest.importorskip("gradio", reason="the page needs the extra demo")
    monkeypatch.setenv("MSER_MAX_MINUTES", "2.5")
    page = runpy.run_path(str(SPACE / "app.py"))["demo"]
    assert isinstance(page, gradio.Blocks)
    labels = [block.label for block in page.blocks.values() if isinstance(block, gradio.Audio)]
    assert labels == ["Your clip (up to 2.5 min, 50 MB)"]
    assert page.analytics_enabled is False
    assert page._queue.max_size == 32
    assert page._queue.default_concurrency_limit == 1
