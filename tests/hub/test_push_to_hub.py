"""`push_to_hub` of a model, a processor and a pipeline: the repository is as complete as `upload.py` makes it."""

import json

import soundfile
from tiny_models import tone

PUSH = """
import json, sys
import hf_mser
from transformers import pipeline

pipe = pipeline("speech-emotion")
pipe.push_to_hub("org/pipe")
pipe.model.push_to_hub("org/parts", private=True)
pipe.processor.push_to_hub("org/parts")
print(json.dumps([pipe("clip.wav"), *(pipeline("speech-emotion", model=name)("clip.wav") for name in sys.argv[1:])]))
"""


def test_model_processor_and_pipeline_arrive_complete_and_answer_alike(local_hub, tmp_path):
    home = tmp_path / "author"
    home.mkdir()
    soundfile.write(home / "clip.wav", tone(0.7), 16_000)
    done = local_hub.python(PUSH, home, local_hub.WRITER, "org/pipe", "org/parts")
    before, *after = json.loads(done.stdout.splitlines()[-1])
    assert after == [before, before]
    store = local_hub.store
    assert store.repo("model", "org/parts").private
    pipe, parts = (store.files("model", name) for name in ("org/pipe", "org/parts"))
    assert set(pipe) == set(parts)
    assert {"pipeline_mser.py", "modeling_mser.py", "processor_config.json", "tokenizer.json", "README.md"} <= set(pipe)
    config = json.loads(parts["config.json"])
    assert config["auto_map"]["AutoProcessor"] == "processing_mser.MSERProcessor"
    assert "speech-emotion" in config["custom_pipelines"]
