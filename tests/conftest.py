"""Fixtures that several test files share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from local_hub import LocalHub

# How long an example takes says something about the machine, not about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real corpora and small real backbones; tests that ask for it are skipped without it."""
    if not (SHARED / "corpora").is_dir() or not (SHARED / "weights").is_dir():
        pytest.skip("the folder ../shared with corpora and weights is not here")
    return SHARED


@pytest.fixture
def local_hub(tmp_path) -> Iterator[LocalHub]:
    """A Hub on loopback, empty."""
    hub = LocalHub(tmp_path / "hub")
    yield hub
    hub.close()
