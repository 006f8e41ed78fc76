"""Features against Transformers' own, on true lengths and padded; prompts and answers against the tokenizer."""

import io
import warnings

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import FAMILIES, put_together, save_llm, tone
from transformers import AutoProcessor, AutoTokenizer, WhisperFeatureExtractor

from hf_mser import EMOTIONS, MSERProcessor
from hf_mser.configuration_mser import SpeechLengthError
from hf_mser.prompting import PromptError

SECONDS = [0.025, 0.03, 0.1, 0.505, 1.0, 1.2345, 3.999]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return AutoTokenizer.from_pretrained(save_llm(tmp_path_factory.mktemp("llm"), "llama3"))


@pytest.fixture(scope="module")
def processors(tokenizer) -> dict[int, MSERProcessor]:
    return {
        mels: MSERProcessor(WhisperFeatureExtractor(feature_size=mels), tokenizer, labels=EMOTIONS, num_speech_tokens=4)
        for mels in (80, 128)
    }


@pytest.fixture
def processor(processors) -> MSERProcessor:
    return processors[80]


# -- features -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mels", [80, 128])
def test_features_are_whispers_own_on_every_real_frame(processors, mels):
    clips = [tone(seconds, seed=index) for index, seconds in enumerate(SECONDS)]
    inputs = processors[mels](audio=clips, sampling_rate=16_000)
    reference = WhisperFeatureExtractor(feature_size=mels)(clips, sampling_rate=16_000, return_tensors="pt")
    for row, clip in enumerate(clips):
        frames = -(-len(clip) // 160)
        assert int(inputs["input_features_mask"][row].sum()) == frames
        ours = inputs["input_features"][row, :, :frames]
        theirs = reference["input_features"][row, :, :frames]
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
        assert (inputs["input_features"][row, :, frames:] == 0).all()


def test_thirty_seconds_are_whispers_own_but_for_the_mirrored_end(processor):
    clip = tone(30.0)
    ours = processor(audio=clip, sampling_rate=16_000)["input_features"]
    theirs = WhisperFeatureExtractor()(clip, sampling_rate=16_000, return_tensors="pt")["input_features"]
    assert ours.shape == theirs.shape == (1, 80, 3000)
    torch.testing.assert_close(ours[..., :-2], theirs[..., :-2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("seconds", [(0.5, 2.0), (0.0251,), (1.2345, 29.96), (30.0, 0.3)])
def test_padded_features_equal_whispers(tokenizer, mels, seconds):
    extractor = WhisperFeatureExtractor(feature_size=mels)
    processor = MSERProcessor(extractor, tokenizer, labels=EMOTIONS, pad_to_30s=True)
    clips = [tone(length, pitch) for length, pitch in zip(seconds, (220, 300), strict=False)]
    inputs = processor(audio=clips, sampling_rate=16_000)
    expected = extractor(clips, sampling_rate=16_000, return_tensors="pt")["input_features"]
    torch.testing.assert_close(inputs["input_features"], expected, atol=1e-5, rtol=0)
    assert inputs["input_features_mask"].sum(1).tolist() == [-(-len(clip) // 160) for clip in clips]
    assert inputs["input_features_mask"].shape == (len(clips), 3000)


def test_padded_silence_is_whispers(tokenizer):
    extractor = WhisperFeatureExtractor()
    processor = MSERProcessor(extractor, tokenizer, labels=EMOTIONS, pad_to_30s=True)
    features, _ = processor.extract_features([np.zeros(8_000, np.float32)])
    expected = extractor([np.zeros(8_000)], sampling_rate=16_000, return_tensors="pt")["input_features"]
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=0)


@given(lengths=st.lists(st.integers(400, 9_000), min_size=2, max_size=6), seed=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_a_clips_features_are_the_same_in_any_batch(processors, lengths, seed):
    processor = processors[80]
    clips = [np.random.default_rng(seed + row).normal(size=n).astype(np.float32) for row, n in enumerate(lengths)]
    together, mask = processor.extract_features(clips)
    for row, clip in enumerate(clips):
        alone, _ = processor.extract_features([clip])
        torch.testing.assert_close(together[row : row + 1, :, : alone.shape[2]], alone, atol=1e-5, rtol=0)
        assert int(mask[row].sum()) == alone.shape[2]


def test_silence_has_features_and_a_warning(processor):
    with pytest.warns(UserWarning, match="silence"):
        inputs = processor(audio=np.zeros(16_000), sampling_rate=16_000)
    assert torch.isfinite(inputs["input_features"]).all()


def test_every_kind_of_source_gives_the_same_features(processor, tmp_path):
    samples = (tone(0.5) * 20_000).astype(np.int16)
    path = tmp_path / "clip.wav"
    soundfile.write(path, samples, 16_000)
    data = path.read_bytes()
    floats = samples / np.float32(32768)
    expected = processor(audio=str(path))["input_features"]
    for source in (
        path,
        data,
        io.BytesIO(data),
        {"array": floats, "sampling_rate": 16_000},
        {"bytes": data, "path": None},
    ):
        assert torch.equal(processor(audio=source)["input_features"], expected)
    for array in (floats, torch.from_numpy(floats), floats.tolist()):
        assert torch.equal(processor(audio=array, sampling_rate=16_000)["input_features"], expected)


def test_other_rates_are_resampled(processor):
    time = np.arange(44_100) / 44_100
    inputs = processor(audio=np.sin(2 * np.pi * 220 * time), sampling_rate=44_100)
    assert inputs["input_features"].shape[-1] == 100


def test_more_than_thirty_seconds_say_so(processor):
    with pytest.raises(SpeechLengthError, match=r"31\.0 s is longer than the 30 s.*Use the pipeline"):
        processor(audio=tone(31.0), sampling_rate=16_000)


# -- prompts and answers ----------------------------------------------------------------------------------


def test_inputs_for_scoring(processor):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inputs = processor(audio=[tone(0.5), tone(0.8)], sampling_rate=16_000)
    assert set(inputs) == set(processor.model_input_names)
    assert inputs["input_ids"].shape[0] == 2
    assert (inputs["input_ids"] == processor.audio_token_id).sum(1).tolist() == [4, 4]
    assert inputs["attention_mask"].all()


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_follow_the_prompt_and_are_all_that_is_learnt(tmp_path, family):
    model, processor = put_together(tmp_path, family)
    words = ["sad", "surprise", "happy"]
    inputs = processor(audio=[tone(0.3)] * 3, sampling_rate=16_000, labels=words)
    stem = len(model.config.prompt_ids)
    for row, word in enumerate(words):
        answer = model.config.candidate_ids[EMOTIONS.index(word)]
        end = stem + len(answer)
        assert inputs["input_ids"][row, :stem].tolist() == model.config.prompt_ids
        assert inputs["labels"][row, stem:end].tolist() == answer
        assert inputs["input_ids"][row, stem:end].tolist() == answer
        assert (inputs["labels"][row, :stem] == -100).all()
        assert (inputs["labels"][row, end:] == -100).all()
        assert inputs["attention_mask"][row].tolist() == [1] * end + [0] * (inputs["labels"].shape[1] - end)


def test_one_label_for_one_clip_and_labels_without_audio(processor):
    one = processor(audio=tone(0.3), sampling_rate=16_000, labels="sad")
    words = processor(labels=["sad"])
    assert torch.equal(one["labels"], words["labels"])
    assert "input_features" not in words


def test_a_prompt_of_ones_own(processor):
    inputs = processor(audio=tone(0.3), sampling_rate=16_000, text="Listen: {audio} The speaker is")
    ids = inputs["input_ids"][0].tolist()
    start = ids.index(processor.audio_token_id)
    assert processor.tokenizer.decode(ids[1:start]) == "Listen: "
    assert processor.tokenizer.decode(ids[start + 4 :]) == " The speaker is"


def test_candidates_take_the_labels_place_in_the_prompt(processor):
    ids = processor.tokenize_prompt(1, candidates=["calm", "tense"])["input_ids"][0]
    assert "calm, tense" in processor.tokenizer.decode(ids)
    assert "neutral" not in processor.tokenizer.decode(ids)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"audio": []}, "An empty list of clips"),
        ({"audio": [tone(0.3)] * 2, "labels": ["sad"]}, "2 clips, but 1 labels"),
        ({"audio": tone(0.3), "return_tensors": "np"}, "'np'.*use 'pt'"),
        ({"audio": tone(0.3), "labels": [" "]}, "A candidate label is empty"),
    ],
)
def test_wrong_use_is_refused(processor, arguments, message):
    with pytest.raises(PromptError, match=message):
        processor(sampling_rate=16_000, **arguments)


def test_the_auto_class_opens_what_was_saved(tmp_path):
    model, processor = put_together(tmp_path, "smollm")
    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    loaded = AutoProcessor.from_pretrained(tmp_path / "saved")
    assert type(loaded) is MSERProcessor
    assert loaded.audio_token_id == processor.audio_token_id == model.config.audio_token_id
    clip = {"audio": tone(0.4), "sampling_rate": 16_000, "labels": "fear"}
    for name, tensor in processor(**clip).items():
        assert torch.equal(loaded(**clip)[name], tensor)


def test_a_config_without_backbones_cannot_make_a_processor(tmp_path):
    model, _ = put_together(tmp_path)
    model.config.backbones = None
    with pytest.raises(PromptError, match="load the processor from the model's folder"):
        MSERProcessor.from_backbones(model.config)
