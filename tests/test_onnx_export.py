"""The ONNX file answers as the model does, for any batch and any length."""

import json
import warnings

import numpy as np
import pytest
import torch
from tiny_models import features, put_together, tiny_model

from hf_mser import MSERProcessor
from hf_mser.onnx_export import LabelScorer, OnnxExportError, export_onnx

follows_the_model = pytest.mark.skipif(
    torch.__version__.startswith("2.6."), reason="torch 2.6 cannot follow the model; 2.13 can"
)


@pytest.mark.parametrize("normalization", ["sum", "mean", "prior"])
@pytest.mark.parametrize("readings", [0, 7])
@torch.no_grad()
def test_the_exported_module_scores_as_the_model_does(normalization, readings):
    model = tiny_model(score_normalization=normalization, temperature=1.7, qformer={"num_readings": readings})
    if readings:
        model.connector.reader_weight.normal_()
        model.config.label_weights = torch.randn(7, 7).tolist()
    model.config.label_bias = [0.1 * place for place in range(len(model.config.labels))]
    x, mask = features([120, 75, 40])
    scores, embeds = LabelScorer(model)(x, mask)
    expected = model.score_emotions(x, input_features_mask=mask) / 1.7
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(embeds, model.connect_speech(x, mask).speech_embeds)


@follows_the_model
def test_one_file_for_any_batch_and_length(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model, processor = put_together(tmp_path / "backbones", score_normalization="prior", temperature=2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = export_onnx(model, processor, tmp_path / "onnx")
    assert sorted(entry.name for entry in path.parent.iterdir() if "onnx" in entry.name) == ["model.onnx"]
    assert json.loads((tmp_path / "onnx" / "labels.json").read_text(encoding="utf-8")) == model.config.labels
    assert MSERProcessor.from_pretrained(tmp_path / "onnx").labels == model.config.labels
    session = onnxruntime.InferenceSession(str(path))
    for lengths in ([100], [30, 299, 57], [3000], [3, 4]):
        x, mask = features(lengths)
        found, embeds = session.run(None, {"input_features": x.numpy(), "input_features_mask": mask.numpy()})
        expected = model.score_emotions(x, input_features_mask=mask) / 2.0
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
        np.testing.assert_allclose(embeds, model.connect_speech(x, mask).speech_embeds.detach().numpy(), atol=1e-4)


@follows_the_model
def test_the_file_of_an_adapted_model_knows_the_speakers_it_met_and_what_it_learned(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    settings = {"num_readings": 7, "num_speaker_traits": 4, "num_speakers": 3, "num_own_readings": 7}
    model, (_, processor) = tiny_model(qformer=settings), put_together(tmp_path / "backbones")
    model.config.label_weights = torch.randn(7, 14).tolist()
    model.connector.own_weight.normal_()
    model.connector.reader_weight.normal_()
    model.connector.trait_weight.normal_()
    x, mask = features([100, 60, 80])
    frames, frames_mask = model.encode_speech(x, mask)
    normed = torch.nn.functional.layer_norm(frames, frames.shape[-1:])
    traits = model.connector.traits_of(model.connector.pool_statistics(normed, frames_mask)).detach()
    model.connector.meet_speakers(traits, torch.randn(3, 14))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = export_onnx(model, processor, tmp_path / "onnx")
    session = onnxruntime.InferenceSession(str(path))
    found, _ = session.run(None, {"input_features": x.numpy(), "input_features_mask": mask.numpy()})
    expected = model.score_emotions(x, input_features_mask=mask)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-3)
    model.connector.speaker_offsets.zero_()
    assert not np.allclose(found, model.score_emotions(x, input_features_mask=mask).numpy(), atol=1e-2)


def test_what_cannot_be_scored_in_one_pass_is_refused():
    with pytest.raises(OnnxExportError, match=r"gemma3_text.*cannot be exported"):
        LabelScorer(tiny_model("gemma"))
    model = tiny_model()
    model.config.candidate_ids = None
    with pytest.raises(OnnxExportError, match="set_words"):
        LabelScorer(model)
