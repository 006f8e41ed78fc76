"""Translators with faults, for builds that must survive them. They play the clip backwards."""

import os
import signal
from pathlib import Path
from zlib import crc32

from hf_mser.m5ser import SourceClip, Translation, Translator


class Backwards(Translator):
    name = "backwards"
    terms = "outputs of Backwards: CC BY 4.0"

    def translate(self, clip: SourceClip, language: str) -> Translation:
        return Translation(clip.samples[::-1], f"{clip.text} ({language})")


class FailsOften(Backwards):
    """Fails for about every fifth clip, by its name, so that a resumed build fails at the same ones."""

    def translate(self, clip: SourceClip, language: str) -> Translation:
        if crc32(f"{clip.id} {language}".encode()) % 5 == 0:
            raise RuntimeError("out of luck")
        return super().translate(clip, language)


class FailsAlways(Backwards):
    def translate(self, clip: SourceClip, language: str) -> Translation:
        raise RuntimeError("no weights")


class TooShort(Backwards):
    """French comes out at 0.3 s."""

    def translate(self, clip: SourceClip, language: str) -> Translation:
        return Translation(clip.samples[:4800] if language == "fr" else clip.samples, None)


class Counts(Backwards):
    """Notes each clip in a file, so that a test sees what was done again."""

    def translate(self, clip: SourceClip, language: str) -> Translation:
        with Path(os.environ["HF_MSER_TEST_LOG"]).open("a") as log:
            log.write(f"{clip.id} {language}\n")
        return super().translate(clip, language)


class FailsEveryTenth(Backwards):
    """Fails whenever its process has asked for ten more clips, whichever they are.

    `HF_MSER_TEST_KILLED_AT` is the call at which the process is killed.
    """

    calls = 0

    def translate(self, clip: SourceClip, language: str) -> Translation:
        self.calls += 1
        if self.calls == int(os.environ.get("HF_MSER_TEST_KILLED_AT", -1)):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.calls % 10 == 0:
            raise RuntimeError(f"call {self.calls}: out of memory")
        return super().translate(clip, language)
