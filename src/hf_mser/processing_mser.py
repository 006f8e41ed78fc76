"""From sound and words to what the model reads: log-mel features, prompts, answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers.feature_extraction_utils import BatchFeature
from transformers.models.auto import AutoFeatureExtractor, AutoTokenizer
from transformers.processing_utils import ProcessorMixin

from .audio import load_audio
from .configuration_mser import MSERConfig, SpeechLengthError
from .prompting import PromptError, candidate_ids, prompt_ids, reserve_audio_token

LOG_SILENCE = -10.0
"""Whisper's floor of the log-mel power, which is all that digital silence has."""


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
        longest = max(len(clip) for clip in clips)
        if longest > self.feature_extractor.n_samples:
            seconds = longest / self.feature_extractor.sampling_rate
            raise SpeechLengthError(
                f"A clip of {seconds:.1f} s is longer than the {self.feature_extractor.chunk_length} s that the "
                "encoder reads at once. Use the pipeline, which cuts long audio into windows, or iter_windows."
            )
        hop = self.feature_extractor.hop_length
        lengths = torch.tensor([-(-len(clip) // hop) for clip in clips])
        frames = int(lengths.max())
        if not self.pad_to_30s:
            log_mel, loudest = self._log_mel(clips, frames, lengths)
            real = torch.arange(frames) < lengths[:, None]
            return _as_whisper(log_mel, loudest) * real[:, None], real.long()
        whole = self.feature_extractor.nb_max_frames
        real = (torch.arange(whole) < lengths[:, None]).long()
        overlapping = -(-self.feature_extractor.n_fft // (2 * hop))  # frames behind the end that still hear the clip
        if frames + overlapping > whole:  # Whisper mirrors what stands at the very end of the 30 s
            rate = self.feature_extractor.sampling_rate
            padded = self.feature_extractor(list(clips), sampling_rate=rate, return_tensors="pt")
            return padded["input_features"], real
        log_mel, loudest = self._log_mel(clips, frames + overlapping)
        silence = _as_whisper(torch.full_like(loudest, LOG_SILENCE), loudest).expand(-1, log_mel.shape[1], whole)
        return torch.cat([_as_whisper(log_mel, loudest), silence[..., log_mel.shape[2] :]], dim=2), real

    def _log_mel(
        self, clips: Sequence[np.ndarray], frames: int, lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Decadic log-mel power of the first frames, and the loudest value of each clip (within its `lengths`)."""
        extractor = self.feature_extractor
        hop, size = extractor.hop_length, extractor.n_fft
        # Zeros behind the longest clip too, so that a clip's last frames look the same in any batch.
        samples = torch.zeros(len(clips), (frames - 1) * hop + size)
        for row, clip in enumerate(clips):
            samples[row, : len(clip)] = torch.from_numpy(np.ascontiguousarray(clip, dtype=np.float32))
        reflected = samples[:, 1 : size // 2 + 1].flip(-1)  # Whisper mirrors the beginning
        spectrum = torch.stft(
            torch.cat([reflected, samples], dim=1),
            size,
            hop,
            window=torch.hann_window(size),
            center=False,
            return_complex=True,
        )[..., :frames]
        power = spectrum.real.square() + spectrum.imag.square()
        mel = torch.from_numpy(extractor.mel_filters).to(power.dtype).T @ power
        log_mel = mel.clamp_(min=10**LOG_SILENCE).log10_()
        counted = log_mel
        if lengths is not None:
            counted = log_mel.masked_fill((torch.arange(frames) >= lengths[:, None])[:, None], LOG_SILENCE)
        return log_mel, counted.amax((1, 2), keepdim=True)

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


def _as_whisper(log_mel: torch.Tensor, loudest: torch.Tensor) -> torch.Tensor:
    """Whisper's range: 80 dB below the loudest and no less, then about -1 to 1."""
    return (torch.maximum(log_mel, loudest - 8.0) + 4.0) / 4.0


def _as_list(audio: Any) -> list[Any]:
    """One clip or several? A list of numbers is a clip, and so is anything that is no list."""
    if isinstance(audio, (list, tuple)) and not (audio and isinstance(audio[0], (int, float))):
        if not audio:
            raise PromptError("An empty list of clips: give at least one.")
        return list(audio)
    return [audio]


__all__ = ["MSERProcessor"]
