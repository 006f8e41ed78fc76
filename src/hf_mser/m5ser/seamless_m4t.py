"""SeamlessM4Tv2: speech to speech by Transformers' own model, for those without SeamlessExpressive's gated weights.

It translates the words; it was not made to keep the delivery, so measure with `mser m5ser analyse` what is left of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..audio import SAMPLING_RATE, load_audio
from .translate import BatchTranslator, PreflightError, SourceClip, Translation

CODES = {"en": "eng", "fr": "fra", "de": "deu", "it": "ita", "zh": "cmn", "es": "spa"}
"""ISO 639-1 -> the codes of the Seamless models."""


class SeamlessM4Tv2(BatchTranslator):
    """Speech-to-speech translation with `transformers.SeamlessM4Tv2Model`.

    Example:
        >>> SeamlessM4Tv2(device="cuda:0").translate(clip, "fr").text  # doctest: +SKIP
        'La porte est à gauche.'
    """

    name = "seamless-m4t"
    terms = "made with SeamlessM4T v2 (weights CC BY-NC 4.0): non-commercial"

    def __init__(
        self,
        model: str = "facebook/seamless-m4t-v2-large",
        device: str = "cpu",
        batch_size: int = 8,
        max_new_tokens: int = 256,
    ) -> None:
        self.model_id, self.device, self.batch_size = model, device, batch_size
        self.max_new_tokens = max_new_tokens

    @cached_property
    def _config(self) -> Any:
        from transformers import AutoConfig

        try:
            return AutoConfig.from_pretrained(self.model_id)
        except (OSError, ValueError) as error:
            raise PreflightError(
                f"{self.model_id} cannot be had: {error}\nGive a folder or a name on the Hub with --model."
            ) from error

    @property
    def version(self) -> str:
        """The weights, by name and commit."""
        return f"1; {self.model_id}; {getattr(self._config, '_commit_hash', None) or 'local'}"

    def preflight(self, languages: Sequence[str], device: str | None = None) -> None:
        """Check that the weights are a SeamlessM4Tv2 and that it speaks the languages."""
        if self._config.model_type != "seamless_m4t_v2":
            raise PreflightError(f"{self.model_id} is a {self._config.model_type}, not a seamless_m4t_v2.")
        strangers = [language for language in languages if language not in CODES]
        if strangers:
            raise PreflightError(f"{self.name} speaks {', '.join(CODES)} here, not {', '.join(strangers)}.")

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        import torch
        from transformers import AutoProcessor, SeamlessM4Tv2Model

        dtype = torch.float16 if self.device.startswith("cuda") else torch.float32
        model = SeamlessM4Tv2Model.from_pretrained(self.model_id, dtype=dtype).to(self.device).eval()
        return AutoProcessor.from_pretrained(self.model_id), model

    def generate(self, clips: Sequence[SourceClip], language: str) -> list[Translation]:
        """The translations of a batch, all or none."""
        import torch

        processor, model = self._parts
        inputs = processor(
            audio=[clip.samples for clip in clips], sampling_rate=SAMPLING_RATE, return_tensors="pt", padding=True
        )
        features = inputs["input_features"].to(self.device, model.dtype)
        with torch.inference_mode():
            made = model.generate(
                input_features=features,
                attention_mask=inputs["attention_mask"].to(self.device),
                tgt_lang=CODES[language],
                return_intermediate_token_ids=True,
                num_beams=1,  # greedy: the same clip always gives the same translation
                do_sample=False,
                text_max_new_tokens=self.max_new_tokens,
            )
        waves = made.waveform.float().cpu().numpy().reshape(len(clips), -1)
        texts = processor.batch_decode(made.sequences, skip_special_tokens=True)
        lengths = made.waveform_lengths.cpu().numpy().reshape(-1)
        rate = model.config.sampling_rate
        return [
            Translation(_at_16_khz(wave[:length], rate), text.strip() or None)
            for wave, length, text in zip(waves, lengths, texts, strict=True)
        ]


def _at_16_khz(wave: np.ndarray, rate: int) -> np.ndarray:
    return load_audio(np.ascontiguousarray(wave), sampling_rate=rate)
