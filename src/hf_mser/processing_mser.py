"""From sound and words to what the model reads: log-mel features, prompts, answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers.feature_extraction_utils import BatchFeature
from transformers.models.auto import AutoFeatureExtractor, AutoTokenizer
from transformers.processing_utils import ProcessorMixin

from .audio import load_audio
from .configuration_mser import MSERConfig
from .prompting import PromptError, candidate_ids, prompt_ids, reserve_audio_token
from .speech_features import mel_features


class MSERProcessor(ProcessorMixin):
    r"""
    Whisper's features on the true length of each clip, the prompt around them, and the answers to learn.

    Args:
        feature_extractor (`WhisperFeatureExtractor`): The features' parameters.
        tokenizer (`PreTrainedTokenizerBase`): The LLM's tokenizer.
        prompt (`str`): The instruction, with `{audio}` and, if it likes, `{labels}`.
        labels (`list[str]`): The model's emotion words.
        num_speech_tokens (`int`): How many positions a clip takes in the prompt.
        pad_to_30s (`bool`): Whether features are padded to 30 s, as Whisper was trained.

    Example:

    ```python
    >>> import numpy as np
    >>> from hf_mser import load_embedded

    >>> _, processor = load_embedded()
    >>> inputs = processor(audio=[np.zeros(16_000), np.ones(8_000)], sampling_rate=16_000)
    >>> tuple(inputs["input_features"].shape), inputs["input_features_mask"].sum(1).tolist()
    ((2, 80, 100), [100, 50])

    ```"""

    _auto_class = "AutoProcessor"  # its code travels with it, as the model's does

    def __init__(
        self,
        feature_extractor: Any,
        tokenizer: Any,
        prompt: str = MSERConfig.prompt,
        labels: Sequence[str] = (),
        num_speech_tokens: int = 36,
        pad_to_30s: bool = False,
        chat_template: str | None = None,
    ):
        super().__init__(feature_extractor, tokenizer, chat_template=chat_template)
        self.prompt = prompt
        self.labels = list(labels)
        self.num_speech_tokens = num_speech_tokens
        self.pad_to_30s = pad_to_30s
        self.audio_token_id = reserve_audio_token(tokenizer)

    @classmethod
    def from_backbones(cls, config: MSERConfig, **hub: Any) -> "MSERProcessor":
        """The processor for a model made by `MSERForEmotionGeneration.from_backbones`.

        Args:
            config ([`MSERConfig`]): The model's config; it names the backbones.
            hub: The Hub's `token`, `cache_dir`, ...
        """
        if not config.backbones:
            raise PromptError("This config names no backbones: load the processor from the model's folder instead.")
        speech, text = config.backbones["speech"], config.backbones["text"]
        return cls(
            AutoFeatureExtractor.from_pretrained(speech["id"], revision=speech["revision"], **hub),
            AutoTokenizer.from_pretrained(text["id"], revision=text["revision"], **hub),
            prompt=config.prompt,
            labels=config.labels,
            num_speech_tokens=config.qformer_config.num_speech_tokens,
            pad_to_30s=config.pad_to_30s,
        )

    def __call__(
        self,
        audio: Any = None,
        text: str | None = None,
        labels: str | Sequence[str] | None = None,
        sampling_rate: int | None = None,
        return_tensors: str = "pt",
        **kwargs: Any,
    ) -> BatchFeature:
        """
        Args:
            audio: A clip or a list of clips of any kind that [`load_audio`] takes.
            text (`str`, *optional*): Another prompt than the model's own, with `{audio}` in it.
            labels (`str` or `list[str]`, *optional*):
                The answer for each clip; appended to the prompt, and returned as `labels` for training.
            sampling_rate (`int`, *optional*): The rate of clips that are bare arrays.
            return_tensors (`str`, *optional*, defaults to `"pt"`): Only PyTorch's are made.

        Returns:
            [`BatchFeature`] with `input_features`, `input_features_mask`, `input_ids`, `attention_mask` and,
            if answers were given, `labels`.
        """
        if return_tensors != "pt":
            raise PromptError(f"return_tensors={return_tensors!r}: MSER models are PyTorch models, use 'pt'.")
        data: dict[str, torch.Tensor] = {}
        count = 1
        if audio is not None:
            clips = [load_audio(clip, sampling_rate) for clip in _as_list(audio)]
            count = len(clips)
            data["input_features"], data["input_features_mask"] = self.extract_features(clips)
        answers = [labels] if isinstance(labels, str) else labels
        if answers is not None:
            if audio is not None and len(answers) != count:
                raise PromptError(f"{count} clips, but {len(answers)} labels: give one label per clip.")
            count = len(answers)
        data.update(self.tokenize_prompt(count, text, answers))
        return BatchFeature(data, tensor_type=None)

    def extract_features(self, clips: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-mel features (batch, mels, time) of mono 16 kHz clips, and the mask of their true lengths."""
        return mel_features(self.feature_extractor, clips, self.pad_to_30s)

    def tokenize_prompt(
        self,
        count: int,
        text: str | None = None,
        answers: Sequence[str] | None = None,
        candidates: Sequence[str] | None = None,
    ) -> dict[str, torch.Tensor]:
        """`input_ids` and `attention_mask` for `count` clips; with answers also `labels`.

        `candidates` takes the place of the model's own words where the prompt lists them.
        """
        prompt = self.prompt if text is None else text
        listed = list(candidates) if candidates is not None else self.labels
        stem = prompt_ids(self.tokenizer, prompt, listed, self.audio_token_id, self.num_speech_tokens)
        if answers is None:
            ids = torch.tensor([stem] * count)
            return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        known = {word: candidate_ids(self.tokenizer, prompt, [word], listed)[0] for word in set(answers)}
        longest = max(len(ids) for ids in known.values())
        padding = self.tokenizer.pad_token_id
        rows = torch.full((count, len(stem) + longest), padding if padding is not None else 0)
        labels = torch.full_like(rows, -100)
        mask = torch.zeros_like(rows)
        for row, word in enumerate(answers):
            answer = torch.tensor(known[word])
            end = len(stem) + len(answer)
            rows[row, : len(stem)] = torch.tensor(stem)
            rows[row, len(stem) : end] = labels[row, len(stem) : end] = answer
            mask[row, :end] = 1
        return {"input_ids": rows, "attention_mask": mask, "labels": labels}

    def candidate_ids(self, candidates: Sequence[str]) -> list[list[int]]:
        """The token ids of answers of one's own, for `model.score_emotions(candidate_ids=...)`."""
        return candidate_ids(self.tokenizer, self.prompt, list(candidates))

    @property
    def model_input_names(self) -> list[str]:
        return ["input_features", "input_features_mask", "input_ids", "attention_mask"]


def _as_list(audio: Any) -> list[Any]:
    """One clip or several? A list of numbers is a clip, and so is anything that is no list."""
    if isinstance(audio, (list, tuple)) and not (audio and isinstance(audio[0], (int, float))):
        if not audio:
            raise PromptError("An empty list of clips: give at least one.")
        return list(audio)
    return [audio]


__all__ = ["MSERProcessor"]
