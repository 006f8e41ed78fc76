"""The whole stack on real pretrained parts: a Whisper encoder, BERT layers and a LLaMA, with real clips."""

import pytest
import torch
from transformers.models.whisper.modeling_whisper import WhisperModel

from hf_mser import EMOTIONS, MSERForEmotionGeneration, MSERProcessor, load_audio, load_corpus
from hf_mser.adaptation import set_domain
from hf_mser.audio import SAMPLING_RATE
from hf_mser.connector import statistics_of
from hf_mser.domains import DomainMeter

CLIPS = 32
SECONDS = 1.5
STEPS = 60


@pytest.fixture(scope="module")
def clips(shared) -> tuple[list, list[str]]:
    """32 real clips, as evenly over the emotions as they come."""
    corpus = load_corpus(shared / "corpora" / "emodb")
    emotions = [None if value is None else corpus.features["emotion"].int2str(value) for value in corpus["emotion"]]
    of_each = {word: [row for row, found in enumerate(emotions) if found == word] for word in EMOTIONS}
    turns = zip(*(rows[:CLIPS] for rows in of_each.values() if rows), strict=False)
    rows = [row for turn in turns for row in turn][:CLIPS]
    sounds = [load_audio(corpus[row]["audio"])[: round(SECONDS * SAMPLING_RATE)] for row in rows]
    return sounds, [emotions[row] for row in rows]


@pytest.fixture(scope="module")
def model(shared) -> MSERForEmotionGeneration:
    weights = shared / "weights"
    torch.manual_seed(0)
    return MSERForEmotionGeneration.from_backbones(
        weights / "whisper-base-encoder",
        weights / "stories260K",
        weights / "bert-tiny-sst2-layers",
        qformer_config={"num_query_tokens": 8, "embedding_size": 64},
        speech_layers=[3],
        prompt="{audio} Tim was very",  # in the words of an LLM that knows children's stories alone
        dtype=torch.float32,
    )


@pytest.mark.shared
def test_the_real_encoder_is_the_checkpoints(shared, model):
    whisper = WhisperModel.from_pretrained(shared / "weights" / "whisper-base-encoder", dtype=torch.float32).encoder
    expected, found = whisper.state_dict(), model.speech_encoder.state_dict()
    assert len(model.speech_encoder.layers) == 3
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


@pytest.mark.shared
def test_it_learns_clips_by_heart_and_says_their_emotion(model, clips):
    sounds, words = clips
    assert len(sounds) == CLIPS
    assert len(set(words)) >= 5
    processor = MSERProcessor.from_backbones(model.config)
    inputs = processor(audio=sounds, labels=words, sampling_rate=SAMPLING_RATE)
    with torch.no_grad():
        frames, mask = model.encode_speech(inputs.pop("input_features"), inputs.pop("input_features_mask"))
    mask = torch.ones(frames.shape[0], frames.shape[2]) if mask is None else mask
    speech = {"speech_frames": frames, "speech_frames_mask": mask}
    meter = DomainMeter()
    meter.add(statistics_of(frames, mask), mask.sum(1))
    set_domain(model.connector, meter.domain())

    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=3e-3)
    for _ in range(STEPS):
        model(**inputs, **speech).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()

    scores = model.score_emotions(**speech)
    assert [EMOTIONS[index] for index in scores.argmax(1)] == words
    length = len(model.config.prompt_ids)
    written = model.generate(
        **speech,
        prefix_allowed_tokens_fn=model.candidate_constraint(length),
        num_beams=len(EMOTIONS),
        length_penalty=0.0,
        max_new_tokens=max(map(len, model.config.candidate_ids)),
        do_sample=False,
    )
    said = [processor.tokenizer.decode(row[length:], skip_special_tokens=True).strip() for row in written]
    assert said == words
    alone = model.score_emotions(**processor(audio=sounds[3], sampling_rate=SAMPLING_RATE))
    torch.testing.assert_close(alone[0], scores[3], atol=1e-3, rtol=0)
