"""Configs: round trips, what follows from what, and what is refused."""

import pytest
from tiny_models import QFORMER, tiny_config, whisper_config
from transformers import AutoConfig, GemmaConfig, LlamaConfig, Qwen2Config, WhisperConfig

from hf_mser import EMOTIONS, EmotionQFormerConfig, MSERConfig
from hf_mser.configuration_mser import MSERConfigError
from hf_mser.errors import MSERError


def test_defaults_are_whisper_llama_and_the_seven_emotions():
    config = MSERConfig()
    assert isinstance(config.speech_config, WhisperConfig)
    assert isinstance(config.text_config, LlamaConfig)
    assert isinstance(config.qformer_config, EmotionQFormerConfig)
    assert config.labels == list(EMOTIONS)
    assert config.label2id["neutral"] == 0
    assert config.num_labels == 7


@pytest.mark.parametrize("text", [LlamaConfig(), Qwen2Config(), GemmaConfig()])
def test_saving_and_loading_keeps_everything(tmp_path, text):
    config = tiny_config(text_config=text, speech_layers=[0, 2], score_normalization="mean", temperature=1.5)
    config.save_pretrained(tmp_path)
    loaded = MSERConfig.from_pretrained(tmp_path)
    assert loaded.to_dict() == config.to_dict() | {"_name_or_path": loaded._name_or_path} or (
        loaded.to_diff_dict() == config.to_diff_dict()
    )
    assert type(loaded.text_config) is type(text)
    assert loaded.speech_layer_indices == (0, 2)
    assert loaded.id2label == config.id2label
    assert isinstance(next(iter(loaded.id2label)), int)


def test_auto_config_opens_it(tmp_path):
    tiny_config().save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is MSERConfig


def test_sub_configs_come_as_dicts_or_configs():
    from_dicts = MSERConfig(
        speech_config=whisper_config().to_dict(), qformer_config=QFORMER, text_config=LlamaConfig().to_dict()
    )
    from_configs = MSERConfig(
        speech_config=whisper_config(), qformer_config=EmotionQFormerConfig(**QFORMER), text_config=LlamaConfig()
    )
    assert from_dicts.to_diff_dict() == from_configs.to_diff_dict()


def test_get_text_config_is_the_llm():
    config = tiny_config()
    assert config.get_text_config() is config.text_config


@pytest.mark.parametrize(("layers", "read"), [("mix", (0, 1, 2)), ("last", (2,)), ([1], (1,)), ([0, 2], (0, 2))])
def test_the_connector_knows_what_it_reads(layers, read):
    config = tiny_config(speech_layers=layers)
    assert config.speech_layer_indices == read
    assert config.qformer_config.num_speech_layers == len(read)
    assert config.qformer_config.encoder_hidden_size == config.speech_config.hidden_size


def test_two_configs_share_nothing():
    first, second = MSERConfig(), MSERConfig()
    first.qformer_config.num_query_tokens = 5
    first.id2label[0] = "calm"
    assert second.qformer_config.num_query_tokens == 32
    assert second.labels[0] == "neutral"


def test_labels_are_in_the_order_of_their_numbers():
    config = MSERConfig(id2label={"1": "b", "0": "a", "10": "c"})
    assert config.labels == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"score_normalization": "median"}, "'median' is unknown; use one of"),
        ({"window_seconds": 0}, "window_seconds=0 must be greater than 0"),
        ({"window_seconds": 31}, "at most 30"),
        ({"temperature": 0}, "temperature=0 must be greater than 0"),
        ({"prompt": "Which emotion?"}, r"\{audio\} exactly once"),
        ({"prompt": "{audio}{audio}"}, r"\{audio\} exactly once"),
        ({"candidate_ids": [[1], [2]]}, "2 entries for 7 labels"),
        ({"speech_layers": "first"}, "'first' is not 'mix', 'last' or a list"),
        ({"speech_layers": [3]}, "numbers from 0 to 2"),
        ({"speech_layers": []}, "is not 'mix'"),
    ],
)
def test_what_cannot_be_built_is_refused(settings, message):
    with pytest.raises(MSERConfigError, match=message) as caught:
        tiny_config(**settings)
    assert isinstance(caught.value, MSERError)
    assert isinstance(caught.value, ValueError)


def test_wrong_types_are_refused():
    with pytest.raises(Exception, match="num_query_tokens"):
        EmotionQFormerConfig(num_query_tokens="many")


def test_pipelines_of_the_checkpoint_survive_but_hide_where_the_task_is_known(tmp_path):
    from transformers import pipelines  # noqa: F401 (registers the task)

    task = {"impl": "pipeline_mser.SpeechEmotionPipeline", "pt": ["AutoModelForMultimodalLM"], "type": "multimodal"}
    config = tiny_config()
    config.custom_pipelines = {"speech-emotion": task, "another-task": task}
    config.save_pretrained(tmp_path)
    loaded = MSERConfig.from_pretrained(tmp_path)
    assert loaded.custom_pipelines == {"another-task": task}
    assert loaded.to_dict()["custom_pipelines"] == {"speech-emotion": task, "another-task": task}
