"""Two corpora of tones in two languages, a recipe with two tiny encoders for them, and how its task sounds."""

import pytest
from spoken_world import write_corpus
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from hf_mser.training.recipe import _section
from hf_mser.training.sere.recipe import SereRecipe
from hf_mser.training.sere.run import tasks_of
from hf_mser.training.sere.sounds import Listeners


@pytest.fixture(scope="session")
def encoders(tmp_path_factory):
    """Folders of two untrained Whisper encoders of different width."""
    import torch

    folder = tmp_path_factory.mktemp("encoders")
    for width, heads in ((16, 2), (24, 3)):
        torch.manual_seed(width)
        config = WhisperConfig(
            d_model=width,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=heads,
            decoder_attention_heads=heads,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            num_mel_bins=16,
            vocab_size=60000,
        )
        WhisperModel(config).save_pretrained(folder / str(width))
        WhisperFeatureExtractor(feature_size=16).save_pretrained(folder / str(width))
    return folder


@pytest.fixture(scope="session")
def make_recipe(encoders, tmp_path_factory):
    """A function that makes a recipe for the two corpora; keywords replace sections or, as a dict, parts of them."""
    root = tmp_path_factory.mktemp("corpora")
    write_corpus(root / "anglish", "en", speakers=4, takes=6)
    write_corpus(root / "italic", "it", speakers=4, takes=4)

    def make(output, **changes):
        content = {
            "name": "tones",
            "encoders": {
                "small": {"checkpoint": str(encoders / "16"), "layer": 0},
                "large.en": {"checkpoint": str(encoders / "24"), "layer": 0},
            },
            "languages": {"en": "large.en", "others": "small"},
            "data": {"root": str(root), "source": "anglish", "target": "italic"},
            "objective": [{"name": "triple_resonance"}],
            "output_dir": str(output),
            "heads": {"hidden": 16, "size": 8, "dropout": 0.0},
            "training": {"steps": 30, "warm_up_steps": 10, "learning_rate": 1e-2, "save_every": 5},
            "cache": {"folder": str(root / "frames")},
        }
        for name, value in changes.items():
            content[name] = {**content.get(name, {}), **value} if isinstance(value, dict) else value
        return _section(SereRecipe, content, "tones", top=True)

    return make


@pytest.fixture(scope="session")
def sounds(make_recipe, tmp_path_factory):
    """The task of the two corpora, heard by both encoders."""
    recipe = make_recipe(tmp_path_factory.mktemp("unused"))
    return Listeners(recipe).hear_task(tasks_of(recipe)[1][0])
