"""Fixtures that several test files share."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real corpora and small real backbones; tests that ask for it are skipped without it."""
    if not (SHARED / "corpora").is_dir() or not (SHARED / "weights").is_dir():
        pytest.skip("the folder ../shared with corpora and weights is not here")
    return SHARED
