"""A voice that espeak-ng does not have is an answer, not an end of the process."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("espeakng_loader")

ASKED_OFTEN = """
import os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])  # on one core espeak-ng's thread is seldom done first
from hf_mser.m5ser.speaking import speaks
print([speaks("tlh-unheard-of") for _ in range(40)].count(False))
"""


def test_asking_for_it_often_does_no_harm():
    done = subprocess.run([sys.executable, "-c", ASKED_OFTEN], capture_output=True, text=True, env=os.environ.copy())
    assert (done.returncode, done.stdout.strip()) == (0, "40"), done.stderr
