"""Ray Data on one machine gives the bytes that the plain build gives."""

import pytest

from hf_mser.m5ser import Settings, build

ray = pytest.importorskip("ray")


@pytest.mark.slow
def test_ray_gives_the_same_bytes_and_leaves_nothing_running(english, tmp_path, contents, monkeypatch):
    import os
    import sys

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    settings = Settings(languages=("fr", "zh"), translator="odd_translators:Backwards", clips_per_unit=3)
    build([english], tmp_path / "plain", settings, workers=1)
    build([english], tmp_path / "ray", settings, workers=1, ray=True)
    assert contents(tmp_path / "ray") == contents(tmp_path / "plain")
    assert not ray.is_initialized()
