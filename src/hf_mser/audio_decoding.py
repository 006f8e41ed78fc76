"""Encoded sound to samples: through `soundfile`, and through ffmpeg for what that does not know.

Sound is handed on in blocks, so that a file of hours needs no more memory than one of seconds.
Whatever a source is, its bytes come by here; that is why all kinds of source give the same samples.
"""

import contextlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

import numpy as np
import soundfile

from .audio_errors import TruncatedAudioError, UndecodableAudioError, UnreadableAudioError

BLOCK_VALUES = 1 << 18
"""Values (frames times channels) in one block: 1 MiB of float32."""

# Only real media containers: ffmpeg also reads play lists, which would open further files and addresses.
_FFMPEG_FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,iff,loas,matroska,webm,mov,mp4,m4a,"
    "3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,ogg,oma,rm,shorten,tak,tta,voc,w64,wav,wv,xwma"
)


@dataclass(frozen=True)
class Sound:
    """An opened source: its name, its rate in hertz, and its blocks of (frames, channels) float32."""

    name: str
    rate: float
    blocks: Iterator[np.ndarray]


@contextlib.contextmanager
def decode(file: BinaryIO, name: str, timeout: float) -> Iterator[Sound]:
    """Open encoded sound; `timeout` is how many seconds ffmpeg may take for one block."""
    failures: list[str] = []
    careful = _CarefulFile(file)
    with contextlib.ExitStack() as stack:
        try:
            file.seek(0)
            opened = stack.enter_context(soundfile.SoundFile(careful))
        except soundfile.SoundFileError as error:
            careful.check(name)
            failures.append(f"soundfile: {_reason(error)}")
        else:
            yield Sound(name, opened.samplerate, _soundfile_blocks(opened, careful, name))
            return
        program = shutil.which("ffmpeg")
        if program is None:
            failures.append("ffmpeg: not installed")
            cure = "Check that it plays; if so, install ffmpeg or convert it to wav, flac, ogg, opus or mp3"
            raise UndecodableAudioError(name, f"no decoder understands it ({'; '.join(failures)})", cure)
        yield stack.enter_context(_ffmpeg(program, file, name, timeout, failures))


class _CarefulFile:
    """A file object as libsndfile should see it.

    It has no `name`, because the content decides about the format and never the file's ending; and a
    failure is kept for us, because exceptions cannot pass through libsndfile, which would see an early end.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.failure: Exception | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self.file.seek(offset, whence)
        except (OSError, ValueError):  # a damaged header sends libsndfile to impossible places
            return self.file.tell()

    def tell(self) -> int:
        return self.file.tell()

    def read(self, count: int) -> bytes:
        try:
            return self.file.read(count)
        except Exception as error:
            self.failure = error
            return b""

    def check(self, name: str) -> None:
        if self.failure is not None:
            cause = f"cannot be read to its end ({self.failure})"
            raise UnreadableAudioError(name, cause, "Copy the file to a disk that works") from self.failure


def _soundfile_blocks(opened: soundfile.SoundFile, file: _CarefulFile, name: str) -> Iterator[np.ndarray]:
    missing = _announced_in_vain(opened.extra_info)
    if missing:
        raise TruncatedAudioError(name, f"the header announces {missing}", _TRUNCATED_CURE)
    frames, read = max(1, BLOCK_VALUES // opened.channels), 0
    while True:
        try:
            block = opened.read(frames, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, ValueError, MemoryError) as error:
            place = f"after {read / opened.samplerate:.2f} s"
            raise UndecodableAudioError(
                name, f"damaged {place} ({_reason(error)})", "Copy or encode the file again"
            ) from error
        file.check(name)
        if not len(block):
            break
        read += len(block)
        yield block
    if 0 < read < opened.frames:
        told, found = opened.frames / opened.samplerate, read / opened.samplerate
        raise TruncatedAudioError(
            name, f"the header announces {told:.2f} s and {found:.2f} s are there", _TRUNCATED_CURE
        )


_TRUNCATED_CURE = "Copy the file again; if no more exists, encode what is there again (ffmpeg -i OLD NEW.wav)"
_SHORTFALL = re.compile(r"(\w+)\s*:\s*(\d+) \(should be (\d+)\)")
_UNKNOWN_LENGTH = 0x7FFF0000  # recorders that write to a pipe announce this much or more: no promise at all
_TOLERATED_BYTES = 64  # many writers count the header or a padding byte wrongly; no sound is missing then


def _announced_in_vain(log: str) -> str | None:
    """What a header promises beyond the end of the file; libsndfile notes it in its log and reads on."""
    for field, announced, found in _SHORTFALL.findall(log):
        if int(found) + _TOLERATED_BYTES < int(announced) < _UNKNOWN_LENGTH:
            return f"{announced} bytes ({field}) and {found} are there"
    return None


def _reason(error: BaseException) -> str:
    text = getattr(error, "error_string", "") or str(error) or type(error).__name__
    return text.strip().rstrip(".")


@contextlib.contextmanager
def _ffmpeg(program: str, file: BinaryIO, name: str, timeout: float, failures: list[str]) -> Iterator[Sound]:
    """Let ffmpeg write Sun AU to a pipe: a header of 24 bytes, then big-endian floats."""
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(_as_path(file, name))
        log = stack.enter_context(tempfile.TemporaryFile())
        command = [program, "-nostdin", "-hide_banner", "-v", "error", "-protocol_whitelist", "file,pipe"]
        command += ["-format_whitelist", _FFMPEG_FORMATS, "-i", f"file:{path}", "-map", "0:a:0", "-vn"]
        command += ["-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
        process = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        )
        stack.callback(process.kill)  # called before Popen's own exit, which waits
        output = cast(IO[bytes], process.stdout)  # stdout=PIPE: never None

        def read(count: int) -> bytes:
            watch = threading.Timer(timeout, process.kill)
            watch.start()
            try:
                return output.read(count)
            finally:
                alive = watch.is_alive()
                watch.cancel()
                if not alive:
                    cure = "Convert the file to wav yourself, or pass a larger timeout"
                    raise UndecodableAudioError(name, f"ffmpeg said nothing for {timeout:g} s", cure)

        header = read(24)
        if len(header) < 24:
            process.wait()
            failures.append(f"ffmpeg: {_last_line(log)}")
            cause = f"no decoder understands it ({'; '.join(failures)})"
            raise UndecodableAudioError(name, cause, "Check that the file plays, or encode it again")
        _, start, _, _, rate, channels = struct.unpack(">4s5I", header)
        read(start - len(header))
        yield Sound(name, rate, _ffmpeg_blocks(read, channels, process, log, name))


def _ffmpeg_blocks(
    read: Callable[[int], bytes], channels: int, process: subprocess.Popen, log: IO[bytes], name: str
) -> Iterator[np.ndarray]:
    frame_bytes = 4 * channels
    while data := read(frame_bytes * max(1, BLOCK_VALUES // channels)):
        whole = len(data) - len(data) % frame_bytes
        yield np.frombuffer(data[:whole], dtype=">f4").astype(np.float32).reshape(-1, channels)
    if process.wait() != 0:
        raise UndecodableAudioError(name, f"damaged (ffmpeg: {_last_line(log)})", "Copy or encode the file again")


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else "no output"


@contextlib.contextmanager
def _as_path(file: BinaryIO, name: str) -> Iterator[str]:
    """A path that another program can open: containers such as mp4 must be seekable, which a pipe is not."""
    handle, path = tempfile.mkstemp(prefix="hf_mser_")
    try:
        try:
            with os.fdopen(handle, "wb") as copy:
                file.seek(0)
                shutil.copyfileobj(file, copy)
        except OSError as error:
            cause = f"cannot be copied for ffmpeg ({error})"
            raise UnreadableAudioError(name, cause, "Free some space in the temporary directory") from error
        yield path
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
