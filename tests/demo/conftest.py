"""What the tests of the page share: the example clips and the pipeline that the page must agree with."""

from pathlib import Path

import pytest

from hf_mser.commands.predict import load_pipeline

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="session")
def pipe():
    """The embedded checkpoint."""
    return load_pipeline(None)


@pytest.fixture
def call():
    """A call of 38 s."""
    return EXAMPLES / "call.ogg"


@pytest.fixture
def clip():
    """A clip of three seconds."""
    return EXAMPLES / "clips" / "de_angry.flac"
