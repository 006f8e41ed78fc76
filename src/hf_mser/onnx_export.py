"""A checkpoint as one ONNX file: log-mel features in, the score of every label and the emotion embedding out.

The prompt and the labels are those of the checkpoint: they are constants of the file, which is why it runs without
a tokenizer, and without PyTorch. Features come from `MSERProcessor.extract_features`.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .errors import MSERError
from .scoring import log_likelihoods, takes_tree_mask, tree_log_likelihoods

INPUTS = ("input_features", "input_features_mask")
OUTPUTS = ("scores", "speech_embeds")
OPSET = 20


class OnnxExportError(MSERError, ValueError):
    """A model that cannot be written as ONNX."""


class LabelScorer(nn.Module):
    """From features to scores, with the checkpoint's own question and answers built in.

    Example:
        >>> from hf_mser import load_embedded
        >>> model, processor = load_embedded()
        >>> inputs = processor(audio=torch.randn(16_000), sampling_rate=16_000)
        >>> scores, embeds = LabelScorer(model)(inputs["input_features"], inputs["input_features_mask"])
        >>> torch.allclose(scores, model.score_emotions(**inputs) / model.config.temperature, atol=1e-4)
        True
    """

    before: torch.Tensor
    after: torch.Tensor
    divisor: torch.Tensor
    prior: torch.Tensor
    bias: torch.Tensor
    weights: torch.Tensor | None

    @torch.no_grad()
    def __init__(self, model: Any):
        super().__init__()
        config = model.config
        if config.prompt_ids is None or not config.candidate_ids:
            raise OnnxExportError("The config holds no prompt_ids and candidate_ids: see MSERConfig.set_words.")
        length = len(config.prompt_ids) + sum(map(len, config.candidate_ids))
        if not takes_tree_mask(model.text_model, length):
            raise OnnxExportError(
                f"A {config.text_config.model_type} with sliding or recurrent layers, or with attention "
                f"{model.text_model.config._attn_implementation!r}, cannot be exported: its labels are not scored in "
                "one pass. Use attn_implementation='sdpa', or another language model."
            )
        self.model = model
        self.candidates = [list(ids) for ids in config.candidate_ids]
        prompt = torch.tensor(config.prompt_ids)
        heard = (prompt == config.audio_token_id).nonzero()
        embed = model.get_input_embeddings()
        self.register_buffer("before", embed(prompt[: int(heard[0])])[None])
        self.register_buffer("after", embed(prompt[int(heard[-1]) + 1 :])[None])
        lengths = torch.tensor([float(len(ids)) for ids in self.candidates])
        mean = config.score_normalization == "mean"
        self.register_buffer("divisor", (lengths if mean else torch.ones_like(lengths)) * float(config.temperature))
        prior = torch.zeros(1, len(self.candidates))
        if config.score_normalization == "prior":
            prior = log_likelihoods(model.text_model, torch.cat([self.before, self.after], dim=1), self.candidates)
        self.register_buffer("prior", prior)
        bias = torch.tensor(config.label_bias or [0.0] * len(self.candidates))
        self.register_buffer("bias", bias / float(config.temperature))
        weights = config.label_weights
        self.register_buffer("weights", None if weights is None else torch.tensor(weights) / float(config.temperature))
        # Scoring keeps its masks for the next time; made here they are real, made by the exporter they would be fakes.
        longest = longest_features(config)
        self(torch.zeros(1, config.speech_config.num_mel_bins, longest), torch.ones(1, longest))

    def forward(self, input_features: torch.Tensor, input_features_mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Scores (batch, labels), whose softmax is what the pipeline answers, and embeddings of length 1."""
        speech = self.model.connect_speech(input_features, input_features_mask)
        tokens = speech.speech_tokens.to(self.before.dtype)
        rows = (tokens.shape[0], -1, -1)
        prefix = torch.cat([self.before.expand(rows), tokens, self.after.expand(rows)], dim=1)
        scores = tree_log_likelihoods(self.model.text_model, prefix, self.candidates)
        scores = (scores - self.prior) / self.divisor + self.bias
        if self.weights is not None:
            scores = scores + speech.readings @ self.weights.T
        return scores, speech.speech_embeds


def longest_features(config: Any) -> int:
    """How many feature frames the encoder reads at most; two for each of its positions."""
    return 2 * config.speech_config.max_source_positions


def export_onnx(model: Any, processor: Any, folder: str | os.PathLike) -> Path:
    """Write `model.onnx`, the processor, and `labels.json` into a folder, and return the ONNX file.

    Needs the extra `onnx`. The file takes any batch size and any length up to the encoder's longest (30 s).

    Example:
        >>> from hf_mser import load_embedded
        >>> export_onnx(*load_embedded(), "exported")  # doctest: +SKIP
    """
    try:
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise OnnxExportError("ONNX export needs onnx and onnxscript: pip install 'hf-mser[onnx]'") from error
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    scorer = LabelScorer(model.float().cpu().eval()).eval()
    mels = model.config.speech_config.num_mel_bins
    longest = longest_features(model.config)
    frames = longest if model.config.pad_to_30s else min(400, longest)
    features, mask = torch.randn(2, mels, frames), torch.ones(2, frames, dtype=torch.long)
    mask[1, frames // 2 :] = 0
    batch, time = torch.export.Dim("batch"), torch.export.Dim("time", min=3, max=longest)
    shape = {0: batch} if model.config.pad_to_30s else {0: batch, 2: time}
    shape_of_mask = {0: batch} if model.config.pad_to_30s else {0: batch, 1: time}
    aside = target / ".model.onnx.part"
    try:
        torch.onnx.export(
            scorer,
            (features, mask),
            aside,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes=(shape, shape_of_mask),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    except RuntimeError as error:
        raise OnnxExportError(
            f"torch {torch.__version__} could not follow the model to the end (see above). Torch 2.6 cannot, 2.13 can: "
            "export with a later torch."
        ) from error
    os.replace(aside, target / "model.onnx")
    processor.save_pretrained(target)
    (target / "labels.json").write_text(json.dumps(model.config.labels) + "\n", encoding="utf-8")
    return target / "model.onnx"
