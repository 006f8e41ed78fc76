"""A build that is killed at random moments resumes to the same dataset, byte for byte."""

import os
import random
import signal
import subprocess
import sys

import pytest

from hf_mser.m5ser import M5SERError, Settings, build, load_m5ser

SETTINGS = Settings(languages=("fr", "zh"), translator="odd_translators:Backwards", clips_per_unit=1)
RUN = (
    "import sys; from hf_mser.m5ser import Settings, build; "
    "build([sys.argv[1]], sys.argv[2], "
    "Settings(languages=('fr', 'zh'), translator='odd_translators:Backwards', clips_per_unit=1), workers=1)"
)
KILLS = 3


@pytest.mark.slow
def test_killed_at_random_moments_it_resumes_to_equal_bytes(english, tmp_path, contents):
    build([english], tmp_path / "undisturbed", SETTINGS, workers=1)
    out, units = tmp_path / "killed", tmp_path / "killed" / ".build" / "units"
    chance = random.Random(0)
    for kill in range(KILLS):
        wanted = chance.randint(2 * kill + 1, 2 * kill + 2)
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(english), str(out)],
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and len(list(units.glob("*.json"))) < wanted:
            pass
        process.kill()
        assert process.wait() == -signal.SIGKILL, "the build ended before it could be killed"
        with pytest.raises(M5SERError, match="no finished dataset"):
            load_m5ser(out)
    build([english], out, SETTINGS, workers=1)
    assert contents(out) == contents(tmp_path / "undisturbed")
