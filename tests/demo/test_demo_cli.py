"""`mser demo` on the command line: its options, and what it says where it cannot start."""

import socket
import sys

import pytest

from hf_mser.cli import main
from hf_mser.demo.example_clips import example_clips


def test_without_gradio_the_message_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "hf_mser.demo.page", raising=False)
    assert main(["demo"]) == 2
    output = capsys.readouterr()
    assert output.err == "mser: mser demo needs gradio. Install it with: pip install 'hf-mser[demo]'\n"
    assert output.out == ""


def test_the_command_line_needs_no_gradio():
    from hf_mser.demo import cli

    assert "gradio" not in vars(cli)


def test_a_taken_port_is_said(capsys):
    pytest.importorskip("gradio", reason="the page needs the extra demo")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 2
    assert f"Port {port} of 127.0.0.1 is not free" in capsys.readouterr().err


def test_a_missing_model_is_said(capsys):
    pytest.importorskip("gradio", reason="the page needs the extra demo")
    assert main(["demo", "--model", "/no/such/model"]) == 2
    assert "/no/such/model" in capsys.readouterr().err


def test_the_example_clips_are_the_shipped_ones():
    clips = example_clips()
    assert [clip.path.name for clip in clips[:2]] == ["call.ogg", "en_neutral.flac"]
    assert {clip.name for clip in clips} >= {"A call of 40 s", "German: angry", "Mandarin: disgust"}
    assert len(clips) == 8
    assert all(clip.path.is_file() for clip in clips)
