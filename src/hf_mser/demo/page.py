"""The page itself, in Gradio: what is where, and what happens when."""

import io
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import soundfile
from gradio.processing_utils import save_bytes_to_cache

from ..audio import SAMPLING_RATE
from ..commands.writers import CsvWriter
from ..errors import MSERError
from .drawing import answer_html, error_html, timeline_html
from .example_clips import example_clips
from .hearing import Hearing, hear
from .limits import Limits

TITLE = "Which emotion does it sound like?"
KEEP_FILES_S = 3600
"""How long the clips and results of visitors stay on the machine."""

_HERE = Path(__file__).parent
_INTRODUCTION = f"""# {TITLE}
Record yourself or send a clip, in any language. `{{model}}` weighs every emotion word."""
_NOTICE = """<p class="mser-notice">This is a guess at how speech <em>sounds</em>, not at what a person feels, and it is
often wrong. Do not use it to judge people; in the European Union its use at work and in education is prohibited, with
narrow exceptions. Clips are deleted after an hour.</p>"""
_WAITING = '<p class="mser-waiting">The answer will be here.</p>'
_OUR_FAULT = "Something went wrong on this machine. Please try again; if it happens again, the log there says why."
_SCROLL_THERE = "() => document.getElementById('mser-answer').scrollIntoView({block: 'nearest', behavior: 'smooth'})"
"""On a phone the answer is below what one has just touched."""

logger = logging.getLogger(__name__)


def build_page(pipe: Any, limits: Limits | None = None, model_name: str = "mser-tiny") -> gr.Blocks:
    """The page for a pipeline; `launch_page` serves it.

    Example:
        >>> from hf_mser.commands.predict import load_pipeline
        >>> build_page(load_pipeline(None)).title
        'Which emotion does it sound like?'
    """
    limits = limits or Limits()
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(KEEP_FILES_S // 4, KEEP_FILES_S)) as page:
        gr.Markdown(_INTRODUCTION.format(model=model_name))
        with gr.Row():
            with gr.Column(min_width=300):
                audio = gr.Audio(
                    label=f"Your clip (up to {limits.minutes:g} min, {limits.megabytes} MB)",
                    sources=["upload", "microphone"],
                    type="filepath",
                    elem_id="mser-audio",
                    buttons=["download"],
                    waveform_options=gr.WaveformOptions(show_recording_waveform=False),  # the result has a better one
                )
                if clips := example_clips():
                    gr.Examples(
                        [[str(clip.path)] for clip in clips],
                        inputs=[audio],
                        example_labels=[clip.name for clip in clips],
                        label="Or try synthetic speech: the language, and the emotion that was meant",
                        elem_id="mser-examples",
                    )
                words = gr.Textbox(
                    label="Words of your own, if you like",
                    placeholder="joyful, bored, furious",
                    info="Separated by commas. The larger the model's LLM, the more words it knows.",
                    elem_id="mser-words",
                )
                button = gr.Button("Listen", variant="primary", elem_id="mser-listen")
            with gr.Column(min_width=300):
                answer = gr.HTML(_WAITING, elem_id="mser-answer")
        timeline = gr.HTML(elem_id="mser-timeline", js_on_load=(_HERE / "timeline.js").read_text(encoding="utf-8"))
        with gr.Row(elem_id="mser-export"):
            files = [
                gr.DownloadButton(f"Save as {kind}", size="sm", visible=False, elem_id=f"mser-{kind.lower()}")
                for kind in ("JSON", "CSV")
            ]
        gr.HTML(_NOTICE, elem_id="mser-notice")
        heard = gr.on(
            [audio.change, button.click, words.submit],
            _listener(pipe, limits, timeline),
            inputs=[audio, words],
            outputs=[answer, timeline, *files],
            trigger_mode="always_last",
            api_name="listen",
        )
        heard.then(None, js=_SCROLL_THERE)
    return page.queue(max_size=limits.waiting, default_concurrency_limit=1)


def launch_page(page: gr.Blocks, limits: Limits | None = None, **options: Any) -> Any:
    """Serve the page; `options` are those of Gradio's `launch`. Nothing is loaded from elsewhere, fonts included."""
    limits = limits or Limits()
    fonts = ["ui-sans-serif", "system-ui", "sans-serif"]
    return page.launch(
        css_paths=_HERE / "page.css",
        theme=gr.themes.Default(primary_hue="indigo", font=fonts, font_mono=["ui-monospace", "monospace"]),
        max_file_size=limits.bytes,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        **options,
    )


def _listener(pipe: Any, limits: Limits, timeline: gr.HTML) -> Callable[[str | None, str], list[Any]]:
    def keep(content: bytes, name: str) -> str:
        """A file that the page may serve, and that is deleted when its hour is over."""
        path = save_bytes_to_cache(content, name, timeline.GRADIO_CACHE)
        timeline.temp_files.add(path)
        return path

    def listen(path: str | None, words: str = "") -> list[Any]:
        """Emotions of a clip: as HTML, and as JSON and CSV."""
        if path is None:
            return _page_with(_WAITING)
        try:
            hearing = hear(pipe, path, words, limits)
            stem = os.path.splitext(os.path.basename(path))[0] or "clip"
            url = f"gradio_api/file={keep(_wav(hearing), f'{stem}.wav')}"
            saved = [keep(_json(hearing), f"{stem}.json"), keep(_csv(hearing), f"{stem}.csv")]
        except MSERError as error:
            return _page_with(error_html(str(error)))
        except Exception:  # whatever it is, visitors read a sentence and the operator the trace
            logger.exception("The page could not answer.")
            return _page_with(error_html(_OUR_FAULT))
        return _page_with(answer_html(hearing), timeline_html(hearing, url), saved)

    return listen


def _page_with(answer: str, timeline: str = "", saved: list[str] | None = None) -> list[Any]:
    files = [gr.DownloadButton(value=path, visible=True) for path in saved or []]
    return [answer, timeline, *(files or [gr.DownloadButton(value=None, visible=False)] * 2)]


def _wav(hearing: Hearing) -> bytes:
    """What the time line plays: every browser plays it and finds any moment in it."""
    file = io.BytesIO()
    soundfile.write(file, hearing.samples, SAMPLING_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _json(hearing: Hearing) -> bytes:
    return json.dumps(hearing.record, ensure_ascii=False, indent=2).encode()


def _csv(hearing: Hearing) -> bytes:
    file = io.StringIO()
    CsvWriter(file, hearing.labels, timeline="segments" in hearing.record).write(hearing.record)
    return file.getvalue().encode()
