"""MSER: a frozen Whisper encoder, an Emotion Q-Former and a frozen LLM that names the emotion."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.cache_utils import Cache
from transformers.generation import GenerationConfig, GenerationMixin
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.auto import AutoModelForCausalLM

from .configuration_mser import MSERConfig, SpeechLengthError
from .connector import ConnectorOutput, EmotionQFormer
from .pretrained_mser import BACKBONES, MSERPreTrainedModel
from .pretrained_speech import MSERModelError
from .scoring import CACHE, log_likelihoods
from .speech_encoder import TrueLengthWhisperEncoder


@dataclass
class MSEROutput(CausalLMOutputWithPast):
    """What [`MSERForEmotionGeneration`] returns: the LLM's output, and what was heard.

    Args:
        loss (`torch.Tensor`, *optional*): Cross-entropy of the answer, if `labels` were given.
        logits (`torch.Tensor`): Scores of the next token. While training they cover the answer alone.
        cache (`Cache`, *optional*): The LLM's cache; `past_key_values` before Transformers 5.24.
        hidden_states, attentions (*optional*): The LLM's, on request.
        speech_embeds (`torch.Tensor` of shape `(batch, embedding_size)`, *optional*): Embeddings of length 1.
        speech_tokens (`torch.Tensor` of shape `(batch, num_speech_tokens, text width)`, *optional*):
            What the LLM heard.
        speech_readings (`torch.Tensor` of shape `(batch, labels)`, *optional*): The connector's linear readings.
    """

    speech_embeds: torch.Tensor | None = None
    speech_tokens: torch.Tensor | None = None
    speech_readings: torch.Tensor | None = None


class _TokenGenerationConfig(GenerationConfig):
    """`generate`'s settings, without the model's `temperature`: it divides the scores of answers, not of tokens."""

    @classmethod
    def from_model_config(cls, model_config: Any) -> GenerationConfig:
        values = dict(model_config if isinstance(model_config, dict) else model_config.to_dict())
        values.pop("temperature", None)
        return GenerationConfig.from_model_config(values)


class MSERForEmotionGeneration(MSERPreTrainedModel, GenerationMixin):
    r"""
    Speech in, emotion word out: the LLM reads `[bos, speech, prompt]` and answers, or weighs every candidate.

    Args:
        config ([`MSERConfig`]): The configuration.

    Example:

    ```python
    >>> import torch
    >>> from hf_mser import MSERForEmotionGeneration, load_embedded

    >>> model, processor = load_embedded()
    >>> inputs = processor(audio=torch.randn(16_000), sampling_rate=16_000)
    >>> scores = model.score_emotions(**inputs)
    >>> tuple(scores.shape)
    (1, 7)

    ```"""

    generation_config_class = _TokenGenerationConfig

    def __init__(self, config: MSERConfig):
        super().__init__(config)
        self.speech_encoder = TrueLengthWhisperEncoder(config.speech_config, config.speech_layer_indices)
        self.connector = EmotionQFormer(config.qformer_config, config.text_config.hidden_size)
        self.text_model = AutoModelForCausalLM.from_config(config.text_config)
        self.loss_type = "ForCausalLM"
        self.connector.float()  # whatever type the rest is made in
        self._freeze()
        self.post_init()
        self.train(self.training)

    def get_input_embeddings(self) -> nn.Module:
        return self.text_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.text_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.text_model.get_output_embeddings()

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.text_model.set_output_embeddings(new_embeddings)

    def train(self, mode: bool = True) -> "MSERForEmotionGeneration":
        """As in any module, but a part without a trainable weight stays in evaluation mode: frozen is frozen."""
        super().train(mode)
        for part in BACKBONES.values():
            if self._is_frozen(part):
                getattr(self, part).eval()
        if mode and self._is_frozen("text_model"):
            # Gradients pass through the frozen LLM, so its layers are worth checkpointing. They ask their own
            # flag for that; the modules within, with their dropout, stay in evaluation mode.
            for layer in self.text_model.modules():
                if isinstance(layer, GradientCheckpointingLayer) and not _drops_out(layer):
                    layer.training = layer.gradient_checkpointing
        return self

    def _set_gradient_checkpointing(self, *args: Any, **kwargs: Any) -> None:
        super()._set_gradient_checkpointing(*args, **kwargs)
        self.train(self.training)

    # -- the path from sound to answer ------------------------------------------------------------------

    @property
    def speech_embedding_size(self) -> int:
        """Width of `speech_embeds`."""
        return self.config.qformer_config.embedding_size

    @property
    def frames_are_frozen(self) -> bool:
        """Whether `encode_speech` gives the same all through training, so that its frames can be cached."""
        return self._is_frozen("speech_encoder")

    def frozen_speech(self) -> dict[str, torch.Tensor]:
        """The weights behind `encode_speech`."""
        return self.speech_encoder.state_dict()

    def encode_speech(
        self, input_features: torch.Tensor, input_features_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The frozen half of the path: frames (batch, layers, time, width) and their mask. Can be cached."""
        if not self.config.pad_to_30s:
            return self.speech_encoder(input_features, input_features_mask)
        # Whisper's own form: the encoder runs over silence up to 30 s and is told nothing of it.
        expected = 2 * self.config.speech_config.max_source_positions
        if input_features.shape[-1] != expected:
            raise SpeechLengthError(
                f"This model was trained on features padded to 30 s ({expected} frames), but got "
                f"{input_features.shape[-1]}. Use the processor saved with it, or set its pad_to_30s to True."
            )
        frames, _ = self.speech_encoder(input_features)
        mask = None if input_features_mask is None else input_features_mask[:, ::2].bool()
        return frames, mask

    def connect_speech(
        self,
        input_features: torch.Tensor | None = None,
        input_features_mask: torch.Tensor | None = None,
        speech_frames: torch.Tensor | None = None,
        speech_frames_mask: torch.Tensor | None = None,
    ) -> ConnectorOutput:
        """Emotion tokens and embedding of each clip, from features or from frames computed earlier."""
        if speech_frames is None:
            if input_features is None:
                raise MSERModelError("No speech: give input_features (see MSERProcessor) or speech_frames.")
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self._is_frozen("speech_encoder")):
                speech_frames, speech_frames_mask = self.encode_speech(input_features, input_features_mask)
        return self.connector(speech_frames, speech_frames_mask)

    def forward(
        self,
        input_features: torch.Tensor | None = None,
        input_features_mask: torch.Tensor | None = None,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        cache: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        speech_frames: torch.Tensor | None = None,
        speech_frames_mask: torch.Tensor | None = None,
        speech_tokens: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> MSEROutput | tuple:
        """
        Args:
            input_features (`torch.Tensor` of shape `(batch, mels, time)`, *optional*): Log-mel features.
            input_features_mask (`torch.Tensor` of shape `(batch, time)`, *optional*): 1 where they are real.
            input_ids (`torch.Tensor` of shape `(batch, length)`, *optional*):
                Prompt (and answer) with one placeholder per speech token; the config's prompt by default.
            past_key_values, cache (`Cache`, *optional*): The LLM's cache, by its old or its new name.
            labels (`torch.Tensor` of shape `(batch, length)`, *optional*): The answer's ids, -100 elsewhere.
            speech_frames, speech_frames_mask (*optional*): The result of `encode_speech`, instead of features.
            speech_tokens (*optional*): The result of `connect_speech`, instead of both.
        """
        speech = None
        if speech_tokens is None and (input_features is not None or speech_frames is not None):
            speech = self.connect_speech(input_features, input_features_mask, speech_frames, speech_frames_mask)
            speech_tokens = speech.speech_tokens
        if inputs_embeds is None:
            if input_ids is None:
                input_ids = self._default_prompt(speech_tokens)
            inputs_embeds = self._embed(input_ids, speech_tokens)
        if use_cache is None and self.training:
            use_cache = False
        if labels is not None and self.training and isinstance(logits_to_keep, int) and logits_to_keep == 0:
            # The vocabulary is large and the answer short: nothing before the answer needs logits.
            answered = (labels != -100).any(0).nonzero()
            logits_to_keep = labels.shape[1] - int(answered[0]) + 1 if len(answered) else 1
        outputs = self.text_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **{CACHE: past_key_values if cache is None else cache},
            **kwargs,
        )
        loss = None
        if labels is not None:
            loss = self.loss_function(
                outputs.logits,
                labels[:, -outputs.logits.shape[1] :],
                vocab_size=outputs.logits.shape[-1],
                num_items_in_batch=num_items_in_batch,
            )
        output = MSEROutput(
            loss=loss,
            logits=outputs.logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            speech_embeds=None if speech is None else speech.speech_embeds,
            speech_tokens=speech_tokens,
            speech_readings=None if speech is None else speech.readings,
            **{CACHE: getattr(outputs, CACHE)},
        )
        return output if return_dict is not False else output.to_tuple()

    @torch.no_grad()
    def score_emotions(
        self,
        input_features: torch.Tensor | None = None,
        candidate_ids: list[list[int]] | None = None,
        input_features_mask: torch.Tensor | None = None,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        normalization: str | None = None,
        speech_frames: torch.Tensor | None = None,
        speech_frames_mask: torch.Tensor | None = None,
        speech_tokens: torch.Tensor | None = None,
        speech_readings: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """How well every candidate answer fits the speech, all in one pass over the shared prefix.

        Args:
            input_features, input_features_mask: The processor's output.
            candidate_ids (`list[list[int]]`, *optional*): Token ids of each answer; the config's labels by default.
            input_ids (*optional*): The prompt; the config's by default.
            attention_mask (*optional*): Accepted for convenience; prompts are never padded.
            normalization (`str`, *optional*): `"sum"`, `"mean"` or `"prior"`; the config's by default.
            speech_frames, speech_frames_mask, or speech_tokens and speech_readings (*optional*): Computed earlier.

        Returns:
            `torch.Tensor` of shape `(batch, candidates)`: normalised log-likelihoods, in float32; if all candidates
            are labels, with what adaptation adds to them (the config's `label_weights` and `label_bias`).
        """
        candidates = candidate_ids if candidate_ids is not None else self.config.candidate_ids
        if not candidates or any(len(ids) == 0 for ids in candidates):
            raise MSERModelError("No candidates to score: give candidate_ids, or a config that holds them.")
        if attention_mask is not None and not bool(attention_mask.all()):
            raise MSERModelError("score_emotions takes unpadded prompts: every clip is asked the same question.")
        if speech_tokens is None:
            speech = self.connect_speech(input_features, input_features_mask, speech_frames, speech_frames_mask)
            speech_tokens, speech_readings = speech.speech_tokens, speech.readings
        if input_ids is None:
            input_ids = self._default_prompt(speech_tokens)
        scores = log_likelihoods(
            self.text_model, self._embed(input_ids, speech_tokens), candidates, self._shared_head(input_ids)
        )
        normalization = normalization or self.config.score_normalization
        if normalization == "mean":
            scores = scores / torch.tensor([len(ids) for ids in candidates], device=scores.device)
        elif normalization == "prior":
            unheard = input_ids[input_ids != self.config.audio_token_id].view(len(input_ids), -1)
            if bool((unheard == unheard[:1]).all()):
                unheard = unheard[:1]  # the same question for all: ask once
            scores = scores - log_likelihoods(self.text_model, self._embed(unheard, None), candidates)
        elif normalization != "sum":
            raise MSERModelError(f"normalization={normalization!r} is unknown; use 'sum', 'mean' or 'prior'.")
        places = self.config.label_places(candidates)
        if places is None:
            return scores
        return scores + self._adapted_share(speech_readings, scores)[:, places]

    # -- generation -------------------------------------------------------------------------------------

    @torch.no_grad()
    def generate(self, inputs: torch.Tensor | None = None, **kwargs: Any) -> Any:
        """As in every Transformers model; speech is encoded once, the config's prompt is used if none is given."""
        speech = {
            name: kwargs.pop(name, None)
            for name in ("input_features", "input_features_mask", "speech_frames", "speech_frames_mask")
        }
        if kwargs.get("speech_tokens") is None and any(value is not None for value in speech.values()):
            kwargs["speech_tokens"] = self.connect_speech(**speech).speech_tokens
        if inputs is None and kwargs.get("input_ids") is None and kwargs.get("inputs_embeds") is None:
            kwargs["input_ids"] = self._default_prompt(kwargs.get("speech_tokens"))
        return super().generate(inputs, **kwargs)

    def prepare_inputs_for_generation(
        self, input_ids: torch.Tensor, is_first_iteration: bool | None = False, **kwargs: Any
    ) -> dict[str, Any]:
        inputs = super().prepare_inputs_for_generation(input_ids, is_first_iteration=is_first_iteration, **kwargs)
        if not is_first_iteration and kwargs.get("use_cache", True):
            inputs.pop("speech_tokens", None)  # the cache has heard them already
        return inputs

    def candidate_constraint(
        self, prompt_length: int, candidate_ids: list[list[int]] | None = None
    ) -> Callable[[int, torch.Tensor], list[int]]:
        """A `prefix_allowed_tokens_fn` for `generate` that lets it write the candidates and nothing else."""
        candidates = candidate_ids if candidate_ids is not None else self.config.candidate_ids or []

        def allowed(_: int, sequence: torch.Tensor) -> list[int]:
            written = sequence[prompt_length:].tolist()
            following = {
                ids[len(written)] for ids in candidates if ids[: len(written)] == written and len(ids) > len(written)
            }
            return sorted(following) or [candidates[0][-1]]

        return allowed

    def _adapted_share(self, readings: torch.Tensor | None, scores: torch.Tensor) -> torch.Tensor:
        """What adaptation adds to each label's score: (batch or 1, labels)."""
        config = self.config
        added = scores.new_zeros(1, len(config.labels))
        if config.label_bias is not None:
            added = added + scores.new_tensor(config.label_bias)
        if config.label_weights is not None:
            if readings is None:
                raise MSERModelError("This model was adapted: with speech_tokens, give speech_readings, too.")
            added = added + readings.to(scores) @ scores.new_tensor(config.label_weights).T
        return added

    # -- helpers ----------------------------------------------------------------------------------------

    def _embed(self, input_ids: torch.Tensor, speech_tokens: torch.Tensor | None) -> torch.Tensor:
        heard = input_ids == self.config.audio_token_id
        embeds = self.get_input_embeddings()(input_ids.masked_fill(heard, 0))
        if speech_tokens is None:
            return embeds
        tokens = speech_tokens.to(embeds.device, embeds.dtype)
        if tokens.shape[0] != embeds.shape[0]:
            raise MSERModelError(f"{tokens.shape[0]} clips, but {embeds.shape[0]} prompts: give one prompt per clip.")
        if int(heard.sum()) != tokens.shape[0] * tokens.shape[1]:
            raise MSERModelError(
                f"The prompts hold {int(heard.sum())} audio placeholders, but the speech has {tokens.shape[1]} tokens "
                f"for each of {tokens.shape[0]} clips. Build prompts with MSERProcessor."
            )
        return embeds.masked_scatter(heard[..., None].expand_as(embeds), tokens)

    def _default_prompt(self, speech_tokens: torch.Tensor | None) -> torch.Tensor:
        if self.config.prompt_ids is None:
            raise MSERModelError("The config holds no prompt_ids: give input_ids (see MSERProcessor).")
        batch = 1 if speech_tokens is None else speech_tokens.shape[0]
        device = next(self.get_input_embeddings().parameters()).device
        return torch.tensor(self.config.prompt_ids, device=device).repeat(batch, 1)

    def _shared_head(self, input_ids: torch.Tensor) -> int:
        """How many leading prompt positions carry no speech and are the same for all clips."""
        head = int((input_ids[0] == self.config.audio_token_id).int().argmax())
        return head if bool((input_ids[:, :head] == input_ids[:1, :head]).all()) else 0


def _drops_out(layer: nn.Module) -> bool:
    """Whether a layer drops values by its own training flag, not by that of a dropout module within."""
    return any("dropout" in name and isinstance(value, float) and value > 0 for name, value in vars(layer).items())


__all__ = ["MSERForEmotionGeneration", "MSEROutput", "MSERPreTrainedModel"]
