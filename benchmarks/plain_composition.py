"""What one writes by hand from Transformers' parts: Whisper on 30 s of padding, the Q-Former, `generate`.

The counterpart of the pipeline in the inference benchmark. It is given every advantage that its form allows:
real batches, the last encoder layer alone, greedy decoding, and no more new tokens than the longest emotion
word has, end included. What it does not give: a probability for every word.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import soundfile
import torch
from transformers import PreTrainedTokenizerBase, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from hf_mser import MSERForEmotionGeneration


class PlainComposition:
    """The same parts, put together plainly.

    Args:
        model: An MSER model that reads the last encoder layer; its Q-Former, LLM and encoder weights are used.
        tokenizer: The LLM's tokenizer.
    """

    def __init__(self, model: MSERForEmotionGeneration, tokenizer: PreTrainedTokenizerBase):
        self.encoder = padded_encoder(model)
        self.connector = model.connector
        self.text_model = model.text_model
        self.tokenizer = tokenizer
        self.feature_extractor = WhisperFeatureExtractor(feature_size=model.config.speech_config.num_mel_bins)
        self.new_tokens = max(len(ids) for ids in model.config.candidate_ids)
        ids = model.config.prompt_ids
        speech = model.config.audio_token_id
        first, count = ids.index(speech), ids.count(speech)
        self.before = torch.tensor(ids[:first])
        self.after = torch.tensor(ids[first + count :])

    @torch.no_grad()
    def __call__(self, paths: Sequence[Path], batch_size: int) -> list[str]:
        """The answer to every file."""
        answers: list[str] = []
        for start in range(0, len(paths), batch_size):
            answers += self._answer(paths[start : start + batch_size])
        return answers

    def _answer(self, paths: Sequence[Path]) -> list[str]:
        clips = [soundfile.read(path, dtype="float32")[0] for path in paths]
        features = self.feature_extractor(clips, sampling_rate=16_000, return_tensors="pt").input_features
        frames = self.encoder(features.to(self.encoder.dtype)).last_hidden_state
        embed = self.text_model.get_input_embeddings()
        speech = self.connector(frames[:, None]).speech_tokens.to(embed.weight.dtype)
        rows = (len(clips), -1, -1)
        prompt = torch.cat([embed(self.before).expand(rows), speech, embed(self.after).expand(rows)], dim=1)
        written = self.text_model.generate(
            inputs_embeds=prompt,
            attention_mask=torch.ones(prompt.shape[:2], dtype=torch.long),
            min_new_tokens=self.new_tokens,  # random weights would not stop where a trained model does
            max_new_tokens=self.new_tokens,
            do_sample=False,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        return self.tokenizer.batch_decode(written, skip_special_tokens=True)


def padded_encoder(model: MSERForEmotionGeneration) -> torch.nn.Module:
    """Transformers' own Whisper encoder with the weights of an MSER model's encoder."""
    encoder = WhisperEncoder(model.config.speech_config).eval()
    encoder.load_state_dict(model.speech_encoder.state_dict())
    return encoder.to(model.speech_encoder.dtype)
