"""The page in a real browser: what a visitor does and sees. `make browser-test` sets up what this needs."""

import csv
import io
import json

import numpy as np
import pytest
import soundfile

from hf_mser.audio import load_audio

pytest.importorskip("gradio", reason="the page needs the extra demo")
pytest.importorskip("playwright", reason="the browser test needs the extra browser")

from browser import CHROMIUM, Visitor, chromium, served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)")

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
MINUTES, MEGABYTES = 1, 2


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    with served(folder, "--max-minutes", str(MINUTES), "--max-megabytes", str(MEGABYTES)) as where:
        yield where
    assert "Traceback" not in (folder / "server.log").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    spoken = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    time = np.arange(48_000 * 2) / 48_000
    soundfile.write(spoken, 0.3 * np.sin(2 * np.pi * 220 * time) * np.sin(3 * time) ** 2, 48_000)
    with chromium(spoken) as opened:
        yield opened


@pytest.fixture
def visit(browser, address, request):
    visitors = []

    def come(**settings):
        visitors.append(Visitor(browser, address, **settings))
        return visitors[-1]

    yield come
    for place, visitor in enumerate(visitors):
        visitor.close(f"{request.node.name}-{place}")
        assert visitor.errors == []
        assert visitor.strangers == [], "the page must not load anything from elsewhere"


def scores_of(answer):
    return {entry["label"]: entry["score"] for entry in answer}


def test_an_uploaded_clip_is_answered_as_the_pipeline_answers(visit, pipe, clip):
    visitor = visit()
    visitor.upload(clip)
    expected = pipe(clip)
    seen = visitor.answer()
    assert visitor.word() == expected[0]["label"] == next(iter(seen))
    assert seen == pytest.approx(scores_of(expected), abs=6e-4)


def test_the_time_line_shows_and_plays_the_stretches_of_a_call(visit, pipe, call):
    visitor = visit()
    visitor.page.get_by_text("A call of 40 s").click()
    visitor.page.wait_for_selector(".mser-list button")
    expected = pipe(call, return_timestamps=True)
    assert visitor.word() == expected["label"]

    strips = visitor.page.locator(".mser-strip")
    labels = strips.evaluate_all("strips => strips.map(strip => strip.dataset.label)")
    heard = [part["label"] for part in expected["segments"]]
    assert labels == [label for place, label in enumerate(heard) if place == 0 or label != heard[place - 1]]
    assert visitor.page.locator(".mser-wave path").count() == len(labels)

    last = strips.last
    start, end = float(last.get_attribute("data-start")), float(last.get_attribute("data-end"))
    last.click()
    visitor.page.wait_for_function(
        "start => { const audio = document.querySelector('#mser-timeline audio');"
        " return !audio.paused && audio.currentTime > start }",
        arg=start,
    )
    assert start < visitor.player("currentTime") < end
    assert visitor.player("duration") == pytest.approx(soundfile.info(call).duration, abs=0.01)
    assert "mser-playing" in last.get_attribute("class")
    last.click()
    visitor.page.wait_for_function("document.querySelector('#mser-timeline audio').paused")


def test_a_stretch_stops_where_it_ends(visit, call):
    visitor = visit()
    visitor.upload(call)
    visitor.page.wait_for_selector(".mser-list button")
    first = visitor.page.locator(".mser-strip").first
    end = float(first.get_attribute("data-end"))
    first.click()
    visitor.page.wait_for_function("!document.querySelector('#mser-timeline audio').paused")
    visitor.page.evaluate(f"document.querySelector('#mser-timeline audio').currentTime = {end} - 0.2")
    visitor.page.wait_for_function("document.querySelector('#mser-timeline audio').paused")
    assert visitor.player("currentTime") == pytest.approx(end, abs=0.5)


def test_words_of_ones_own(visit, pipe, clip):
    visitor = visit()
    visitor.upload(clip)
    visitor.answer()
    visitor.page.fill("#mser-words textarea, #mser-words input", "joyful, furious")
    visitor.page.click("#mser-listen")
    visitor.page.wait_for_selector(".mser-row:has-text('joyful')")
    expected = pipe(clip, candidate_labels=["joyful", "furious"])
    assert visitor.answer() == pytest.approx(scores_of(expected), abs=6e-4)


def test_results_are_saved_as_json_and_csv(visit, pipe, call):
    visitor = visit()
    visitor.upload(call)
    saved = {}
    for kind in ("json", "csv"):
        with visitor.page.expect_download() as download:
            visitor.page.click(f"#mser-{kind}")
        saved[kind] = download.value
        assert download.value.suggested_filename == f"call.{kind}"
    expected = pipe(call, return_timestamps=True)
    record = json.loads(saved["json"].path().read_text(encoding="utf-8"))
    assert (record["input"], record["label"]) == ("call.ogg", expected["label"])
    assert record["scores"] == pytest.approx(scores_of(expected["scores"]), abs=1e-5)
    rows = list(csv.DictReader(io.StringIO(saved["csv"].path().read_text(encoding="utf-8"))))
    assert [row["label"] for row in rows] == [part["label"] for part in expected["segments"]]
    assert float(rows[-1]["end"]) == pytest.approx(expected["segments"][-1]["end"])


def test_a_recording_is_answered_as_the_pipeline_answers(visit, pipe, tmp_path):
    visitor = visit(permissions=["microphone"])
    visitor.page.click("#mser-audio button[aria-label='Record audio']")
    visitor.page.click("#mser-audio .record-button")
    visitor.page.wait_for_selector("#mser-audio :text('0:01')")
    visitor.page.click("#mser-audio .stop-button:visible")
    seen = visitor.answer()
    (tmp_path / "heard.wav").write_bytes(visitor.page.request.get(visitor.player("src")).body())
    samples = load_audio(tmp_path / "heard.wav")
    assert samples.std() > 0.01, "the microphone was not heard"
    assert seen == pytest.approx(scores_of(pipe(samples, sampling_rate=16_000)), abs=2e-3)  # the copy has 16 bits


def test_a_damaged_file_is_a_sentence_and_the_next_one_works(visit, pipe, clip, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"this is no audio")
    visitor = visit()
    visitor.upload(tmp_path / "bad.wav")
    assert visitor.complaint().startswith("bad.wav: no decoder understands it")
    for trace in ("Traceback", 'File "', str(tmp_path)):
        assert trace not in visitor.page.inner_text("body")
    assert visitor.page.locator(".mser-timeline").count() == 0
    assert not visitor.page.locator("#mser-json").is_visible()
    visitor.page.click("#mser-audio button[aria-label='Clear']")
    visitor.upload(clip)
    visitor.answer()
    assert visitor.word() == pipe(clip)[0]["label"]


def test_too_long_and_too_large_are_sentences(visit, tmp_path):
    soundfile.write(tmp_path / "long.wav", np.full(8_000 * (60 * MINUTES + 2), 0.1), 8_000, subtype="PCM_U8")
    soundfile.write(tmp_path / "large.wav", np.full(MEGABYTES << 20, 0.1), 44_100, subtype="PCM_16")
    visitor = visit()
    visitor.upload(tmp_path / "long.wav")
    assert "lasts longer than 1 minute." in visitor.complaint()
    another = visit()
    another.upload(tmp_path / "large.wav")
    assert "exceed the maximum allowed size of 2.0 mb" in another.page.locator(".toast-body").inner_text().lower()
    assert another.page.locator(".mser-word").count() == 0


def test_two_visitors_at_once_get_their_own_answers(visit, pipe, call, clip):
    first, second = visit(), visit()
    first.upload(call)
    second.upload(clip)
    assert second.answer() == pytest.approx(scores_of(pipe(clip)), abs=6e-4)
    expected = pipe(call, return_timestamps=True)
    assert first.answer() == pytest.approx(scores_of(expected["scores"]), abs=6e-4)
    assert first.page.locator(".mser-list button").count() > 0
    assert second.page.locator(".mser-list button").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_in_its_width(visit, call, scheme):
    visitor = visit(**PHONE, color_scheme=scheme)
    visitor.page.get_by_text("A call of 40 s").tap()
    visitor.page.wait_for_selector(".mser-list button")
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]
    visitor.page.wait_for_function(
        "(() => { const box = document.querySelector('.mser-word').getBoundingClientRect();"
        " return box.top >= 0 && box.bottom <= innerHeight })()"
    )
    entry = visitor.page.locator(".mser-list button").nth(1)
    assert entry.bounding_box()["height"] >= 40, "a finger needs room"
    entry.tap()
    visitor.page.wait_for_function("!document.querySelector('#mser-timeline audio').paused")
    assert contrast(visitor, ".mser-row .mser-score") > 4.5
    assert contrast(visitor, ".mser-notice") > 4.5


def contrast(visitor, selector):
    """WCAG's contrast of a text against the page."""
    text, ground = visitor.page.evaluate(
        """selector => {
            const draw = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
            const text = document.querySelector(selector), behind = [];
            for (let part = text; part; part = part.parentElement) {
                behind.unshift(getComputedStyle(part).backgroundColor);
            }
            return [[...behind, getComputedStyle(text).color], behind].map(layers => {
                for (const layer of layers) { draw.fillStyle = layer; draw.fillRect(0, 0, 1, 1); }
                return [...draw.getImageData(0, 0, 1, 1).data].slice(0, 3);
            });
        }""",
        selector,
    )
    bright, dim = sorted((luminance(text), luminance(ground)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def luminance(colour):
    channels = np.array(colour) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
