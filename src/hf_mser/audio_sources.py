"""What counts as a source of sound, and how each kind is opened.

Two families: encoded sound (a path, URL, bytes, file object, a `datasets.Audio` row) goes to the decoder;
samples (arrays, tensors, decoded rows and decoders) are brought to (frames, channels) float32 here.
"""

import contextlib
import io
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .audio_decoding import BLOCK_VALUES, Sound, decode
from .audio_download import download
from .audio_errors import (
    EmptyAudioError,
    MissingAudioError,
    SampleRangeError,
    SampleShapeError,
    SamplingRateError,
    UndecodableAudioError,
    UnreadableAudioError,
    UnsupportedSourceError,
)

MAX_ARRAY_CHANNELS = 32
"""An axis of an array with more entries than this holds samples and never channels."""

LOUDEST = 32.0  # 30 dB over full scale: beyond it, "float" samples are integers that nobody scaled
_LONGEST_NAME = 120
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@contextlib.contextmanager
def open_sound(
    source: Any,
    sampling_rate: float | None,
    *,
    max_url_bytes: int,
    timeout: float,
    allow_private_urls: bool | None,
) -> Iterator[Sound]:
    """Open any source as blocks of samples; `load_audio` lists the kinds and explains the arguments."""
    name = source_name(source)
    with contextlib.ExitStack() as stack:
        if isinstance(source, Mapping):
            source, sampling_rate = _of_row(source, sampling_rate, name)
        elif hasattr(source, "get_all_samples"):
            source, sampling_rate = _of_decoded(_decoder_samples(source, name), name)
        elif hasattr(source, "data") and hasattr(source, "sample_rate"):
            source, sampling_rate = _of_decoded(source, name)

        if isinstance(source, (bytes, bytearray, memoryview)):
            file: BinaryIO | None = io.BytesIO(source)
        elif isinstance(source, str) and _URL.match(source):
            file = _spool(stack)
            download(source, name, file, max_url_bytes, timeout, allow_private_urls)
        elif isinstance(source, (str, os.PathLike)):
            file = stack.enter_context(_open_path(source, name))
        elif hasattr(source, "read"):
            file = _seekable(source, name, stack)
        else:
            file = None

        if file is None:
            yield _sound_of_array(source, sampling_rate, name)
        else:
            file.seek(0, io.SEEK_END)
            if not file.tell():
                raise EmptyAudioError(name, "holds no bytes", "Record or copy it again")
            yield stack.enter_context(decode(file, name, timeout))


def _spool(stack: contextlib.ExitStack) -> Any:
    """A temporary file that stays in memory while it is small."""
    return stack.enter_context(tempfile.SpooledTemporaryFile(max_size=8 << 20))


def source_name(source: Any) -> str:
    """A short name of any source, for messages and tables.

    Example:
        >>> source_name("talk.wav"), source_name(b"RIFF"), source_name({"bytes": None, "path": "a.wav"})
        ('talk.wav', '<4 bytes>', 'a.wav')
    """
    if isinstance(source, (str, os.PathLike)):
        name = os.fsdecode(source)
        if _URL.match(name):  # passwords and signatures stay out of messages
            name = re.sub(r"(?<=://)[^/@]*@", "", name).split("?")[0]
    elif isinstance(source, (bytes, bytearray, memoryview)):
        name = f"<{memoryview(source).nbytes} bytes>"
    elif isinstance(source, Mapping):
        parts = [source.get(key) for key in ("path", "array", "raw", "bytes")]
        present = [part for part in parts if part is not None]
        name = source_name(present[0]) if present else f"<row with {', '.join(map(str, source)) or 'nothing'}>"
    elif isinstance(getattr(source, "name", None), str) and source.name:
        name = source.name
    elif hasattr(source, "shape"):
        name = f"<array of shape {tuple(source.shape)}>"
    else:
        name = f"<{type(source).__name__}>"
    name = "".join(character if character.isprintable() else "?" for character in name)
    return name if len(name) <= _LONGEST_NAME else f"{name[:40]}…{name[-70:]}"


def _of_row(row: Mapping, sampling_rate: float | None, name: str) -> tuple[Any, float | None]:
    """The sound in {"array" | "raw", "sampling_rate"} or in a `datasets.Audio` row {"bytes", "path"}."""
    samples = next((row[key] for key in ("array", "raw") if row.get(key) is not None), None)
    if samples is not None:
        rate = row.get("sampling_rate")
        if rate is not None and sampling_rate is not None and rate != sampling_rate:
            cause = f"says {rate} Hz and the argument says {sampling_rate} Hz"
            raise SamplingRateError(name, cause, "Give one sampling rate")
        return samples, rate if rate is not None else sampling_rate
    for key in ("bytes", "path"):
        if row.get(key) is not None:
            return row[key], sampling_rate
    cause = f"a mapping with the keys {sorted(map(str, row))} holds no sound"
    cure = 'Pass {"array": …, "sampling_rate": …} or {"bytes": …, "path": …}'
    raise UnsupportedSourceError(name, cause, cure + ('; here row["audio"]' if "audio" in row else ""))


def _decoder_samples(decoder: Any, name: str) -> Any:
    try:
        return decoder.get_all_samples()
    except (RuntimeError, ValueError, OSError) as error:
        cure = "Check that the file plays; datasets.Audio(decode=False) lets hf_mser decode it"
        raise UndecodableAudioError(name, f"its decoder failed ({error})", cure) from error


def _of_decoded(samples: Any, name: str) -> tuple[Any, float]:
    """torchcodec's samples: `data` is always (channels, samples), however short."""
    data = _to_numpy(samples.data, name)
    return (data.T if data.ndim == 2 else data), samples.sample_rate


def _open_path(path: str | os.PathLike, name: str) -> BinaryIO:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise UnreadableAudioError(name, "is a directory", "Pass the files inside it one by one")
        if not stat.S_ISREG(mode):  # opening a pipe or device can block for ever
            raise UnreadableAudioError(name, "is no regular file", "Open it yourself and pass the file object")
        return open(path, "rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        cure = f"Check the path; it was looked for from {Path.cwd()}"
        raise MissingAudioError(name, "there is no such file", cure) from error
    except PermissionError as error:
        raise UnreadableAudioError(name, "may not be read", "Change the file's permissions") from error
    except UnreadableAudioError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise UnreadableAudioError(name, f"cannot be opened ({reason})", "Check the path") from error


def _seekable(source: Any, name: str, stack: contextlib.ExitStack) -> BinaryIO:
    """The user's file object, read from its very beginning; a pipe is first copied to a temporary file."""
    try:
        if getattr(source, "seekable", lambda: hasattr(source, "seek"))():
            source.seek(0)
            if isinstance(source.read(1), bytes):
                return source
        else:
            spool = _spool(stack)
            while block := source.read(1 << 20):
                spool.write(block)
            return spool
    except (OSError, ValueError, TypeError, UnicodeError) as error:
        cause = f"cannot be read ({error or type(error).__name__})"
        raise UnreadableAudioError(name, cause, "Pass a file that is open for reading in binary mode") from error
    raise UnreadableAudioError(name, "delivers text instead of bytes", 'Open it with open(path, "rb")')


def _sound_of_array(samples: Any, sampling_rate: float | None, name: str) -> Sound:
    array = _to_numpy(samples, name)
    if sampling_rate is None:
        cure = 'Pass sampling_rate=…, or {"array": …, "sampling_rate": …}'
        raise SamplingRateError(name, "an array does not say how fast it was sampled", cure)
    return Sound(name, sampling_rate, _array_blocks(_frames_first(array, name), name))


def _to_numpy(samples: Any, name: str) -> np.ndarray:
    try:
        if hasattr(samples, "detach") and hasattr(samples, "cpu"):  # a torch tensor; numpy knows no bfloat16
            samples = samples.detach().cpu()
            return (samples.float() if samples.is_floating_point() else samples).numpy()
        if isinstance(samples, (list, tuple)) or hasattr(samples, "__array__"):
            return np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SampleShapeError(name, f"is no plain array ({error})", "Pass one number for each sample") from error
    cure = "Pass a path, URL, bytes, file object, array with its sampling rate, or a datasets.Audio row"
    raise UnsupportedSourceError(name, f"{type(samples).__name__} is no kind of sound", cure)


def _frames_first(array: np.ndarray, name: str) -> np.ndarray:
    """(samples,) or (samples, channels): the axis of at most 32 entries is the channels."""
    if array.ndim == 1:
        return array[:, None]
    cure = "Pass one clip as (samples,), (channels, samples) or (samples, channels)"
    if array.ndim != 2:
        raise SampleShapeError(name, f"has {array.ndim} dimensions", cure)
    shorter = min(array.shape)
    if shorter > MAX_ARRAY_CHANNELS:
        cause = f"neither axis can be the channels (both have more than {MAX_ARRAY_CHANNELS} entries)"
        raise SampleShapeError(name, cause, cure)
    if shorter == max(array.shape):
        raise SampleShapeError(name, "both axes are equally long: either could be the channels", cure)
    return array.T if array.shape[0] == shorter else array


def _array_blocks(array: np.ndarray, name: str) -> Iterator[np.ndarray]:
    _check_type(array.dtype, name)
    if not array.size:
        return
    frames = max(1, BLOCK_VALUES // array.shape[1])
    for start in range(0, len(array), frames):
        block = _to_float(array[start : start + frames])
        with np.errstate(invalid="ignore"):
            loudest = np.abs(block).max()
        if LOUDEST < loudest < np.inf:
            cause = f"float samples reach {loudest:g}, where 1.0 is full scale: integers that were not scaled"
            raise SampleRangeError(name, cause, "Divide 16-bit samples by 32768, or pass them as int16")
        yield block


def _check_type(dtype: np.dtype, name: str) -> None:
    if dtype.kind == "f":
        return
    if dtype.kind in "iu" and dtype.itemsize <= 4:
        return
    cause = f"samples of type {dtype} have no agreed full scale"
    raise SampleRangeError(name, cause, "Pass floats within ±1, or PCM as (u)int8, int16 or int32")


def _to_float(block: np.ndarray) -> np.ndarray:
    if block.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            return np.ascontiguousarray(block, dtype=np.float32)
    full_scale = 2.0 ** (8 * block.dtype.itemsize - 1)
    middle = full_scale if block.dtype.kind == "u" else 0.0
    return np.ascontiguousarray((block - middle) / full_scale, dtype=np.float32)
