"""`pipeline("speech-emotion")`: every input, every option, and that no clip is ever lost."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny_models import put_together, tone
from transformers import pipeline

from hf_mser import EMOTIONS, SpeechEmotionPipeline, load_audio
from hf_mser.audio import AudioError, SilenceWarning
from hf_mser.pipeline_mser import PipelineOptionError
from hf_mser.prompting import PromptError

RATE = 16_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipeline")
    model, processor = put_together(folder, window_seconds=2.0)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.connector.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(folder / "saved")
    processor.save_pretrained(folder / "saved")
    return folder / "saved"


@pytest.fixture(scope="module")
def pipe(folder) -> SpeechEmotionPipeline:
    return pipeline("speech-emotion", model=str(folder))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[str]:
    """Five clips of different lengths; the last is longer than a window."""
    folder = tmp_path_factory.mktemp("clips")
    paths = []
    for index, seconds in enumerate([0.4, 0.9, 0.3, 1.6, 5.3]):
        paths.append(str(folder / f"{index}.wav"))
        soundfile.write(paths[-1], tone(seconds, 150 + 90 * index, seed=index), RATE)
    return paths


def close(found, expected) -> bool:
    """Equal answers, but for the last digits of their scores."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(close(found[name], expected[name]) for name in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(close, found, expected))
    return found == (pytest.approx(expected, abs=1e-4) if isinstance(expected, float) else expected)


# -- one clip ---------------------------------------------------------------------------------------------


def test_one_clip_gives_every_label_best_first(pipe, files):
    result = pipe(files[0])
    assert {entry["label"] for entry in result} == set(EMOTIONS)
    values = [entry["score"] for entry in result]
    assert values == sorted(values, reverse=True)
    assert sum(values) == pytest.approx(1.0)
    assert all(type(value) is float for value in values)


def test_probabilities_are_the_softmax_of_the_models_scores(pipe, files):
    inputs = pipe.processor(audio=files[0])
    expected = pipe.model.score_emotions(**inputs).softmax(-1)[0]
    found = {entry["label"]: entry["score"] for entry in pipe(files[0])}
    for label, index in pipe.model.config.label2id.items():
        assert found[label] == pytest.approx(float(expected[index]), abs=1e-5)


def test_the_configs_temperature_flattens(pipe, files, monkeypatch):
    sharp = pipe(files[0])
    monkeypatch.setattr(pipe.model.config, "temperature", 1000.0)
    flat = pipe(files[0])
    assert [entry["label"] for entry in flat] == [entry["label"] for entry in sharp]
    assert flat[0]["score"] == pytest.approx(1 / 7, abs=0.05)


def test_every_kind_of_clip(pipe, files):
    expected = pipe(files[0])
    with open(files[0], "rb") as handle:
        data = handle.read()
    samples = load_audio(files[0])
    for clip in (
        data,
        io.BytesIO(data),
        {"array": samples, "sampling_rate": RATE},
        {"raw": samples, "sampling_rate": RATE},
        {"bytes": data, "path": None},
    ):
        assert close(pipe(clip), expected)
    assert close(pipe(samples, sampling_rate=RATE), expected)
    assert close(pipe(torch.from_numpy(samples), sampling_rate=RATE), expected)
    assert close(pipe(Path(files[0])), expected)


def test_a_bare_array_needs_its_rate(pipe):
    with pytest.raises(AudioError, match="sampling"):
        pipe(tone(0.5))


def test_silence_answers_with_a_warning(pipe):
    with pytest.warns(SilenceWarning, match="digital silence"):
        result = pipe(np.zeros(RATE), sampling_rate=RATE)
    assert len(result) == 7


# -- many clips -------------------------------------------------------------------------------------------


def test_a_list_gives_a_list_in_its_order(pipe, files):
    assert close(pipe(files), [pipe(file) for file in files])


@pytest.mark.parametrize("batch_size", [2, 3, 16])
@pytest.mark.parametrize("options", [{}, {"return_timestamps": True}, {"return_embeddings": True}])
def test_batches_give_what_single_clips_give(pipe, files, batch_size, options):
    assert close(pipe(files, batch_size=batch_size, **options), pipe(files, batch_size=1, **options))


def test_batches_fill_up_across_clips(pipe, files, monkeypatch):
    sizes = []
    forward = pipe._forward
    monkeypatch.setattr(pipe, "_forward", lambda windows, **kw: sizes.append(len(windows)) or forward(windows, **kw))
    pipe(files, batch_size=4)  # 4 clips of one window, and one of three
    assert sizes == [4, 3]


def test_an_empty_list_gives_an_empty_list(pipe):
    assert pipe([]) == []


def test_a_generator_is_read_no_further_than_needed(pipe, files):
    taken = []

    def clips():
        for file in files:
            taken.append(file)
            yield file

    results = pipe(clips())
    assert len(taken) <= 1  # Transformers looks at the first
    first = next(iter(results))
    assert len(taken) == 1
    assert close(first, pipe(files[0]))
    assert close(list(results), pipe(files[1:]))


def test_a_generator_in_batches(pipe, files):
    assert close(list(pipe((file for file in files), batch_size=3)), pipe(files))


def test_a_column_of_a_dataset(pipe, files):
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"audio": files}).cast_column("audio", datasets.Audio(decode=False))
    assert close(list(pipe(table["audio"], batch_size=2)), pipe(files))
    streamed = (row["audio"] for row in table.to_iterable_dataset())
    assert close(list(pipe(streamed)), pipe(files))


def test_a_torch_dataset(pipe, files):
    class Clips(torch.utils.data.Dataset):
        def __len__(self):
            return len(files)

        def __getitem__(self, index):
            return files[index]

    assert close(list(pipe(Clips(), batch_size=2)), pipe(files))


def test_progress_keeps_quiet_where_nobody_watches(pipe, files, capsys):
    assert close(pipe(files[:2], progress=True), pipe(files[:2]))
    assert "clip" not in capsys.readouterr().err


# -- options ----------------------------------------------------------------------------------------------


def test_top_k_cuts_and_does_not_rescale(pipe, files):
    whole = pipe(files[0])
    assert close(pipe(files[0], top_k=2), whole[:2])
    assert close(pipe(files[0], top_k=99), whole)
    assert close(pipe(files[0], return_timestamps=True, top_k=1)["scores"], whole[:1])


def test_options_can_be_given_when_the_pipeline_is_made(folder, pipe, files):
    made = pipeline("speech-emotion", model=str(folder), top_k=1, batch_size=2)
    assert close(made(files), pipe(files, top_k=1))
    assert len(made(files[0], top_k=3)) == 3


def test_words_of_ones_own_are_weighed_against_each_other(pipe, files):
    words = ["joyful", "bored", "very angry"]
    result = pipe(files[0], candidate_labels=words)
    assert {entry["label"] for entry in result} == set(words)
    assert sum(entry["score"] for entry in result) == pytest.approx(1.0)
    prompt = pipe.processor.tokenize_prompt(1, candidates=words)["input_ids"]
    expected = pipe.model.score_emotions(
        **pipe.processor(audio=files[0]) | {"input_ids": prompt}, candidate_ids=pipe.processor.candidate_ids(words)
    ).softmax(-1)[0]
    for word, value in zip(words, expected, strict=True):
        assert {entry["label"]: entry["score"] for entry in result}[word] == pytest.approx(float(value), abs=1e-5)


def test_words_of_ones_own_in_batches(pipe, files):
    words = ["joyful", "bored"]
    assert close(pipe(files, candidate_labels=words, batch_size=4), pipe(files, candidate_labels=words))


def test_one_word_is_certain(pipe, files):
    assert pipe(files[0], candidate_labels="calm") == [{"label": "calm", "score": 1.0}]


def test_embeddings_have_length_one(pipe, files):
    for answer in pipe([files[0], files[4]], return_embeddings=True):
        assert len(answer["embedding"]) == 8
        assert np.linalg.norm(answer["embedding"]) == pytest.approx(1.0)
        assert answer["label"] == answer["scores"][0]["label"]
        assert "segments" not in answer


# -- time -------------------------------------------------------------------------------------------------


def test_the_time_line_covers_the_clip_in_overlapping_windows(pipe, files):
    answer = pipe(files[4], return_timestamps=True, window_s=1.0, hop_s=0.5)
    times = [(segment["start"], segment["end"]) for segment in answer["segments"]]
    assert times == [(0.5 * step, min(0.5 * step + 1.0, 5.3)) for step in range(10)]
    samples = load_audio(files[4])
    for segment in answer["segments"]:
        assert sum(entry["score"] for entry in segment["scores"]) == pytest.approx(1.0)
        assert segment["label"] == segment["scores"][0]["label"]
        assert segment["score"] == segment["scores"][0]["score"]
        part = samples[round(segment["start"] * RATE) : round(segment["end"] * RATE)]
        assert close(segment["scores"], pipe(part, sampling_rate=RATE))


def test_the_whole_is_the_mean_of_its_windows_by_their_length(pipe, files):
    answer = pipe(files[4], return_timestamps=True)
    lengths = np.array([segment["end"] - segment["start"] for segment in answer["segments"]])
    for label in EMOTIONS:
        values = [{e["label"]: e["score"] for e in segment["scores"]}[label] for segment in answer["segments"]]
        mean = float((lengths * values).sum() / lengths.sum())
        assert {e["label"]: e["score"] for e in answer["scores"]}[label] == pytest.approx(mean)
    assert (answer["label"], answer["score"]) == (answer["scores"][0]["label"], answer["scores"][0]["score"])


def test_long_clips_are_read_in_windows_of_the_models_length_without_a_time_line(pipe, files):
    samples = load_audio(files[4])
    parts = [samples[: 2 * RATE], samples[2 * RATE : 4 * RATE], samples[4 * RATE :]]
    each = [{e["label"]: e["score"] for e in pipe(part, sampling_rate=RATE)} for part in parts]
    for entry in pipe(files[4]):
        mean = np.average([scores[entry["label"]] for scores in each], weights=[2, 2, 1.3])
        assert entry["score"] == pytest.approx(float(mean), abs=1e-5)


def test_a_short_clip_has_one_segment(pipe, files):
    answer = pipe(files[0], return_timestamps=True)
    assert [(segment["start"], segment["end"]) for segment in answer["segments"]] == [(0.0, 0.4)]
    assert close(answer["scores"], pipe(files[0]))


# -- bad clips --------------------------------------------------------------------------------------------


@pytest.fixture
def damaged(files, tmp_path) -> list:
    """Good and bad clips in turns."""
    (tmp_path / "noise.wav").write_bytes(b"this is no sound" * 50)
    return [
        str(tmp_path / "nowhere.wav"),
        files[0],
        str(tmp_path / "noise.wav"),
        files[4],
        b"",
        {"array": np.full(RATE, np.nan), "sampling_rate": RATE},
        files[1],
        np.zeros(10),
    ]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_record_keeps_the_order_and_loses_nothing(pipe, files, damaged, batch_size):
    results = pipe(damaged, on_error="record", batch_size=batch_size)
    assert len(results) == len(damaged)
    for place, file in ((1, files[0]), (3, files[4]), (6, files[1])):
        assert close(results[place], pipe(file))
    for place in (0, 2, 4, 5, 7):
        assert set(results[place]) == {"error", "input"}
        assert len(results[place]["error"]) > 20
    assert results[0]["input"].endswith("nowhere.wav")
    assert "noise.wav" in results[2]["error"]


def test_record_with_a_generator_and_a_time_line(pipe, damaged):
    results = list(pipe((clip for clip in damaged), on_error="record", return_timestamps=True))
    assert ["error" in result for result in results] == [True, False, True, False, True, True, False, True]


def test_sound_that_breaks_off_in_the_middle_is_one_error(pipe, files):
    samples = load_audio(files[4])
    samples[-100:] = np.nan  # good windows first
    clips = [files[0], {"array": samples, "sampling_rate": RATE}, files[1]]
    results = pipe(clips, on_error="record", batch_size=2)
    assert ["error" in result for result in results] == [False, True, False]
    assert close(results[2], pipe(files[1]))


def test_raise_is_the_default(pipe, damaged):
    with pytest.raises(AudioError, match=r"nowhere\.wav"):
        pipe(damaged)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k=0 must be at least 1"),
        ({"on_error": "ignore"}, "'ignore' is unknown"),
        ({"candidate_labels": []}, "candidate_labels is empty"),
        ({"topk": 3}, "Unknown option 'topk'"),
        ({"window_s": 31}, "at most 30 seconds"),
        ({"window_s": -1}, "greater than 0"),
        ({"window_s": 1, "hop_s": 2}, "hop_s=2 must be greater than 0 and at most the window"),
        ({"hop_s": -1}, "hop_s=-1"),
    ],
)
def test_wrong_options_are_refused(pipe, files, options, message):
    with pytest.raises(PipelineOptionError, match=message):
        pipe(files[0], **options)


def test_doubled_words_are_refused(pipe, files):
    with pytest.raises(PromptError, match="'sad' is there twice"):
        pipe(files[0], candidate_labels=["sad", "sad"])


# -- saving -----------------------------------------------------------------------------------------------


def test_a_saved_pipeline_is_complete(pipe, files, tmp_path):
    pipe.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = pipeline("speech-emotion", model=str(tmp_path))
    assert again(files) == pipe(files)


def test_below_the_wanted_confidence_no_label_is_named_and_all_scores_are_still_there(pipe, files):
    scores = pipe(files[0])
    best = scores[0]["score"]
    sure = pipe(files[0], min_confidence=best - 1e-3)
    assert sure["label"] == scores[0]["label"]
    unsure = pipe(files[0], min_confidence=best + 1e-3)
    assert unsure["label"] is None
    assert unsure["score"] == pytest.approx(best)
    assert close(unsure["scores"], scores)
    segments = pipe(files[4], return_timestamps=True, window_s=1.0, min_confidence=1.0)["segments"]
    assert {segment["label"] for segment in segments} == {None}


@pytest.mark.parametrize("wrong", [-0.1, 1.5, float("nan")])
def test_a_confidence_that_is_no_probability_is_refused(pipe, files, wrong):
    with pytest.raises(PipelineOptionError, match="min_confidence"):
        pipe(files[0], min_confidence=wrong)
