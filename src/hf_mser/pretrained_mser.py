"""How a model that answers through an LLM is put together from its backbones."""

import os
from typing import Any, ClassVar

import torch
from transformers.models.auto import AutoConfig, AutoTokenizer

from .backbones import HUB_ARGUMENTS, BackboneError, qformer_weights, read_weights, speech_encoder_weights, verify
from .configuration_mser import EmotionQFormerConfig, MSERConfig
from .connector import EmotionQFormer
from .pretrained_speech import SpeechEmotionModel, connector_sizes, connector_weights, pin
from .remote_code import AUTO_MAP, CUSTOM_PIPELINES, ENTRY_FILES

BACKBONES = {"speech": "speech_encoder", "text": "text_model"}


class MSERPreTrainedModel(SpeechEmotionModel):
    """A model that answers through an LLM: its names, its initial weights, and how it is put together.

    A subclass has the parts `speech_encoder`, `connector` and `text_model`.
    """

    backbone_parts: ClassVar[dict[str, str]] = BACKBONES
    auto_map: ClassVar[dict[str, str]] = AUTO_MAP
    pipelines: ClassVar[dict[str, Any]] = CUSTOM_PIPELINES
    entry_files: ClassVar[tuple[str, ...]] = ENTRY_FILES

    config: MSERConfig
    config_class = MSERConfig
    input_modalities = ("audio", "text")
    _no_split_modules: ClassVar[list[str]] = ["EmotionQFormer"]

    @classmethod
    def from_backbones(
        cls,
        speech: str | os.PathLike,
        text: str | os.PathLike,
        qformer: str | os.PathLike | None = "bert-base-uncased",
        *,
        connector: str | os.PathLike | None = None,
        qformer_config: dict[str, Any] | None = None,
        labels: list[str] | None = None,
        revisions: dict[str, str] | None = None,
        output_loading_info: bool = False,
        dtype: str | torch.dtype | None = None,
        device_map: Any = None,
        attn_implementation: Any = None,
        quantization_config: Any = None,
        **settings: Any,
    ) -> Any:
        """Put a new model together from a pretrained Whisper, a pretrained LLM and, for the Q-Former, a BERT.

        Args:
            speech (`str`): Id or folder of a Whisper checkpoint; its encoder is used.
            text (`str`): Id or folder of a causal language model with its tokenizer.
            qformer (`str`, *optional*, defaults to `"bert-base-uncased"`):
                Id or folder of the BERT that the Q-Former starts from; `None` starts it at random.
            connector (`str`, *optional*):
                Id or folder of a checkpoint of this package, a classifier's too, whose Q-Former this one starts from.
            qformer_config (`dict`, *optional*):
                Fields of [`EmotionQFormerConfig`] that differ from the BERT's or the connector's.
            labels (`list[str]`, *optional*): The emotion words; the canonical seven by default.
            revisions (`dict`, *optional*): `{"speech": ..., "text": ..., "qformer": ...}` to pin.
            output_loading_info (`bool`, *optional*):
                Also return which tensors were loaded, and which are new.
            dtype, device_map, attn_implementation, quantization_config: As in `from_pretrained`.
            settings: Further fields of [`MSERConfig`], and the Hub's `token`, `cache_dir`, ...

        Returns:
            The model; with `output_loading_info=True`, a tuple of the model and a report.
        """
        hub = {name: settings.pop(name) for name in HUB_ARGUMENTS if name in settings}
        revisions = revisions or {}
        speech_weights, speech_commit = speech_encoder_weights(speech, revisions.get("speech"), **hub)
        text_weights, text_commit = read_weights(text, revisions.get("text"), **hub)
        sizes = dict(qformer_config or {})
        if connector is not None:
            sizes = {**connector_sizes(connector, **hub), **sizes}
        elif qformer is not None:
            sizes = {**_bert_sizes(qformer, revisions.get("qformer"), hub), **sizes}
        if labels is not None:
            settings["id2label"] = dict(enumerate(labels))
        config = cls.config_class(
            speech_config=AutoConfig.from_pretrained(speech, revision=revisions.get("speech"), **hub),
            text_config=AutoConfig.from_pretrained(text, revision=revisions.get("text"), **hub),
            qformer_config=EmotionQFormerConfig(**sizes),
            backbones={
                "speech": pin(speech, speech_commit, speech_weights),
                "text": pin(text, text_commit, text_weights),
            },
            **settings,
        )
        tokenizer = AutoTokenizer.from_pretrained(text, revision=revisions.get("text"), **hub)
        config.set_words(tokenizer)
        weights = _join(speech_weights, text_weights)
        if connector is not None:
            weights |= connector_weights(connector, **hub)
        elif qformer is not None:
            with torch.device("meta"):
                empty = EmotionQFormer(config.qformer_config, 1).qformer.state_dict()
            found = qformer_weights(qformer, empty, revisions.get("qformer"), **hub)
            weights |= {f"connector.qformer.{name}": tensor for name, tensor in found.items()}
        options = {
            "dtype": dtype,
            "device_map": device_map,
            "attn_implementation": attn_implementation,
            "quantization_config": quantization_config,
        }
        model, report = cls._from_weights(
            config, weights, **{name: value for name, value in options.items() if value is not None}
        )
        return (model, report) if output_loading_info else model

    @classmethod
    def _fetch_backbones(cls, config: MSERConfig, hub: dict[str, Any]) -> dict[str, torch.Tensor]:
        named = config.backbones or {}
        if set(named) != set(BACKBONES):
            raise BackboneError("This checkpoint holds a connector alone, but its config does not name the backbones.")
        speech, _ = speech_encoder_weights(named["speech"]["id"], named["speech"]["revision"], **hub)
        text, _ = read_weights(named["text"]["id"], named["text"]["revision"], **hub)
        verify("speech", speech, named["speech"])
        verify("text", text, named["text"])
        return _join(speech, text)

    def _freeze(self) -> None:
        self.speech_encoder.requires_grad_(not self.config.freeze_speech)
        self.text_model.requires_grad_(not self.config.freeze_text)


def _bert_sizes(model_id: str | os.PathLike, revision: str | None, hub: dict[str, Any]) -> dict[str, Any]:
    bert = AutoConfig.from_pretrained(model_id, revision=revision, **hub)
    shared = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "hidden_act",
        "layer_norm_eps",
    )
    return {name: getattr(bert, name) for name in shared}


def _join(speech: dict[str, torch.Tensor], text: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    joined = {f"speech_encoder.{name}": tensor for name, tensor in speech.items()}
    return joined | {f"text_model.{name}": tensor for name, tensor in text.items()}
