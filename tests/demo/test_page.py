"""The page's one event, called as Gradio calls it."""

import logging
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the page needs the extra demo")

from hf_mser.demo.page import build_page


def listener(pipe):
    return next(event.fn for event in build_page(pipe).fns.values() if event.api_name == "listen")


class Broken:
    def __call__(self, *inputs, **options):
        raise RuntimeError("out of luck")


def test_a_fault_of_ours_is_a_sentence_and_a_trace_in_the_log(clip, caplog):
    with caplog.at_level(logging.ERROR):
        answer, timeline, *files = listener(Broken())(str(clip), "")
    assert "Something went wrong on this machine" in answer
    assert "out of luck" not in answer
    assert timeline == ""
    assert [file.visible for file in files] == [False, False]
    assert "out of luck" in caplog.text


def test_without_a_clip_nothing_is_said(pipe):
    answer, timeline, *files = listener(pipe)(None, "joyful, calm")
    assert "mser-waiting" in answer
    assert timeline == ""
    assert [file.visible for file in files] == [False, False]


def test_what_is_saved_is_kept_for_an_hour_and_no_longer(pipe, clip):
    page = build_page(pipe)
    _, timeline, *files = next(event.fn for event in page.fns.values() if event.api_name == "listen")(str(clip), "")
    kept = set().union(*page.temp_file_sets)
    assert page.delete_cache[1] == 3600
    for path in (file.value["path"] for file in files):
        assert Path(path).is_file()
    assert {Path(path).suffix for path in kept} >= {".wav", ".json", ".csv"}, "Gradio deletes what it knows of"
    assert any(f"file={path}" in timeline for path in kept)
