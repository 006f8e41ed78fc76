"""Make the example clips: synthetic speech whose emotion lies in prosody that this script shapes.

    python examples/make_clips.py            # needs the program espeak-ng and the package pyworld

espeak-ng reads a sentence in a plain voice. WORLD takes that voice apart into pitch, spectral envelope and
breath noise; each emotion moves them in the directions that the literature on vocal emotion reports (anger:
high, loud, fast, tense; sadness: low, flat, slow, breathy ...), and WORLD puts them together again. The
same versions of the tools give the same bytes.
"""

import io
import json
import shutil
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyworld
import soundfile
import soxr

FOLDER = Path(__file__).resolve().parent
RATE = 16_000
FRAME_S = 0.005


@dataclass(frozen=True)
class Prosody:
    """How an emotion differs from a plain reading. Pitch is in semitones, level in dB of full scale."""

    level_db: float
    pitch: float = 0.0
    pitch_range: float = 1.0  # factor on the movement that the plain reading has
    accent: float = 0.0  # semitones that loud syllables rise above soft ones
    slope: float = 0.0  # semitones from the beginning to the end
    final: float = 0.0  # semitones over the last quarter
    swing: float = 0.0  # semitones of slow melodic movement, three times a second
    tremor: float = 0.0  # semitones of fast trembling
    tempo: float = 1.0
    drawl: float = 0.0  # how much the end is slower than the beginning
    stress: float = 1.0  # exponent on loudness: above 1, loud syllables stand out
    tilt: float = 0.0  # dB per octave above 500 Hz: tense voices are bright, soft ones dull
    breath: float = 0.0  # 0 to 1: share of noise in the upper half of the spectrum
    formants: float = 1.0  # a smile shortens the vocal tract


PROSODY = {
    "neutral": Prosody(level_db=-25),
    "happy": Prosody(
        -20,
        pitch=4.5,
        pitch_range=1.5,
        accent=2.5,
        swing=1.8,
        tempo=1.12,
        stress=1.15,
        tilt=1.5,
        formants=1.05,
    ),
    "sad": Prosody(
        -31,
        pitch=-2.5,
        pitch_range=0.35,
        slope=-2.5,
        tempo=0.72,
        drawl=0.25,
        stress=0.8,
        tilt=-4.0,
        breath=0.55,
    ),
    "angry": Prosody(
        -15,
        pitch=6.0,
        pitch_range=1.3,
        accent=5.0,
        slope=-1.5,
        tempo=1.22,
        stress=1.5,
        tilt=4.5,
        formants=1.01,
    ),
    "surprise": Prosody(
        -20, pitch=6.5, pitch_range=2.0, accent=2.0, slope=1.5, final=6.0, tempo=1.05, stress=1.1, tilt=1.0
    ),
    "disgust": Prosody(
        -24,
        pitch=-2.0,
        pitch_range=0.8,
        accent=1.0,
        slope=-4.0,
        tempo=0.82,
        drawl=0.3,
        stress=1.3,
        tilt=1.5,
        formants=0.95,
    ),
    "fear": Prosody(
        -24,
        pitch=8.0,
        pitch_range=0.6,
        tremor=0.9,
        tempo=1.3,
        stress=0.9,
        tilt=-0.5,
        breath=0.4,
        formants=1.03,
    ),
}


@dataclass(frozen=True)
class Line:
    """One sentence, in an espeak-ng voice ("de+f2": German, second female variant), with an emotion."""

    voice: str
    emotion: str
    text: str
    pitch: int = 45  # the speaker's, on espeak-ng's scale of 0 to 99


CLIPS = {
    "en_neutral": Line("en-gb+m3", "neutral", "The train to the city leaves at nine.", 40),
    "it_happy": Line("it+f2", "happy", "Che bella notizia! Sono davvero felice!", 50),
    "fr_sad": Line("fr-fr+m2", "sad", "Il est parti, et je reste seul.", 40),
    "de_angry": Line("de+m1", "angry", "Das reicht jetzt! Hör sofort auf damit!", 45),
    "es_surprise": Line("es+f4", "surprise", "¿De verdad? ¡No me lo puedo creer!", 50),
    "zh_disgust": Line("cmn+m5", "disgust", "这味道真恶心。", 45),
    "pl_fear": Line("pl+f3", "fear", "Słyszałeś to? Ktoś jest za drzwiami!", 50),
}

_AGENT, _CALLER = "en-us+f3", "en-gb+m1"
CALL = (
    Line(_AGENT, "neutral", "Good morning, this is customer service. How can I help you?", 50),
    Line(_CALLER, "neutral", "Hello. I ordered a lamp three weeks ago, and it is still not here.", 40),
    Line(_AGENT, "neutral", "One moment please, I am looking it up. It seems that the parcel was lost.", 50),
    Line(_CALLER, "surprise", "Lost? Really? How can a whole parcel get lost?", 40),
    Line(_CALLER, "angry", "This is the third time I am calling! Nobody ever does anything about it!", 40),
    Line(_AGENT, "sad", "I am very sorry. I understand how disappointing this is.", 50),
    Line(_AGENT, "neutral", "We send you a new lamp today, and you get your money back.", 50),
    Line(_CALLER, "happy", "Oh, that is wonderful! Thank you so much, you have made my day!", 40),
    Line(_AGENT, "happy", "You are very welcome! Have a lovely weekend!", 50),
)
PAUSE_S = 0.45


def main() -> None:
    if shutil.which("espeak-ng") is None:
        sys.exit("espeak-ng is not installed (Debian: apt-get install espeak-ng)")
    clips = FOLDER / "clips"
    clips.mkdir(exist_ok=True)
    rows = []
    for name, line in CLIPS.items():
        samples = speak(line)
        (clips / f"{name}.flac").write_bytes(encoded(samples, "FLAC", "PCM_16"))
        rows.append({"file_name": f"{name}.flac", "emotion": line.emotion, "language": name[:2], "text": line.text})
    write_lines(clips / "metadata.jsonl", rows)

    call, segments = telephone_call()
    (FOLDER / "call.ogg").write_bytes(with_fixed_serial(encoded(call, "OGG", "VORBIS")))
    write_lines(FOLDER / "call_segments.jsonl", segments)


def telephone_call() -> tuple[np.ndarray, list[dict]]:
    """The lines of the call with pauses between them, and when each is spoken."""
    pause = np.zeros(round(PAUSE_S * RATE), np.float32)
    parts, segments, position = [pause], [], len(pause)
    for line in CALL:
        samples = speak(line)
        start, position = position, position + len(samples)
        speaker = "agent" if line.voice == _AGENT else "caller"
        times = {"start": round(start / RATE, 2), "end": round(position / RATE, 2)}
        segments.append({**times, "speaker": speaker, "emotion": line.emotion, "text": line.text})
        parts += [samples, pause]
        position += len(pause)
    return np.concatenate(parts), segments


def speak(line: Line) -> np.ndarray:
    """16 kHz samples of a line, spoken with its emotion."""
    command = ["espeak-ng", "-v", line.voice, "-p", str(line.pitch), "-s", "165", "--stdin", "--stdout"]
    wav = subprocess.run(command, input=line.text.encode(), capture_output=True, check=True).stdout
    plain, rate = soundfile.read(io.BytesIO(wav))
    moving = np.flatnonzero(np.abs(plain) > 1e-3)
    shaped = shape(plain[moving[0] : moving[-1] + 1], rate, PROSODY[line.emotion])
    return soxr.resample(shaped, rate, RATE).astype(np.float32)


def shape(plain: np.ndarray, rate: int, prosody: Prosody) -> np.ndarray:
    """Take a voice apart with WORLD, move its parts, put it together again."""
    pitch, times = pyworld.harvest(plain, rate, f0_floor=60, f0_ceil=450, frame_period=1000 * FRAME_S)
    envelope = pyworld.cheaptrick(plain, pitch, times, rate)
    noise = pyworld.d4c(plain, pitch, times, rate)

    order = slowed(len(pitch), prosody)
    pitch, envelope, noise = pitch[order], envelope[order], noise[order]
    loudness = np.convolve(envelope.sum(axis=1), np.hanning(21) / np.hanning(21).sum(), mode="same")
    loudness = 10 * np.log10(loudness / loudness.max() + 1e-6)  # dB below the loudest moment

    pitch = moved_pitch(pitch, loudness, prosody)
    envelope, noise = moved_timbre(envelope, noise, loudness, rate, prosody)
    return levelled(pyworld.synthesize(pitch, envelope, noise, rate, 1000 * FRAME_S), rate, prosody.level_db)


def slowed(frames: int, prosody: Prosody) -> np.ndarray:
    """Which frame of the plain reading is heard at each moment."""
    duration = round(frames / prosody.tempo)
    progress = np.linspace(0, 1, duration)
    warped = progress + prosody.drawl * progress * (1 - progress)  # faster first, slower at the end
    return np.round(warped * (frames - 1)).astype(int)


def moved_pitch(pitch: np.ndarray, loudness: np.ndarray, prosody: Prosody) -> np.ndarray:
    voiced = pitch > 0
    semitones = 12 * np.log2(np.where(voiced, pitch, 1.0))
    middle = np.median(semitones[voiced])
    time = np.arange(len(pitch)) * FRAME_S
    progress = np.linspace(0, 1, len(pitch))
    moved = middle + prosody.pitch + prosody.pitch_range * (semitones - middle)
    moved += prosody.accent * (np.clip(loudness, -20, 0) + 10) / 10
    moved += prosody.slope * (progress - 0.5)
    moved += prosody.final * np.clip((progress - 0.75) / 0.25, 0, 1) ** 1.5
    moved += prosody.swing * np.sin(2 * np.pi * 3.0 * time)
    moved += prosody.tremor * np.sin(2 * np.pi * 7.0 * time)
    return np.where(voiced, 2 ** (moved / 12), 0.0)


def moved_timbre(
    envelope: np.ndarray, noise: np.ndarray, loudness: np.ndarray, rate: int, prosody: Prosody
) -> tuple[np.ndarray, np.ndarray]:
    frequencies = np.linspace(0, rate / 2, envelope.shape[1])
    warped = np.stack([np.interp(frequencies / prosody.formants, frequencies, frame) for frame in envelope])
    octaves = np.log2(np.maximum(frequencies, 500) / 500)
    gain_db = prosody.tilt * octaves[None, :] + ((prosody.stress - 1) * np.maximum(loudness, -30))[:, None]
    share = prosody.breath * np.clip(frequencies / (rate / 4), 0, 1)
    return warped * 10 ** (gain_db / 10), np.clip(noise + (1 - noise) * share, 0, 1)


def levelled(samples: np.ndarray, rate: int, level_db: float) -> np.ndarray:
    """The wanted mean level, with rounded peaks instead of clipped ones, and soft edges."""
    samples = samples * 10 ** (level_db / 20) / np.sqrt(np.mean(samples**2))
    samples = 0.95 * np.tanh(samples / 0.95)
    edge = round(0.01 * rate)
    samples[:edge] *= np.linspace(0, 1, edge)
    samples[-edge:] *= np.linspace(1, 0, edge)
    return samples


def encoded(samples: np.ndarray, container: str, coding: str) -> bytes:
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", RATE, 1, format=container, subtype=coding) as file:
        for start in range(0, len(samples), 4096):  # the Vorbis encoder overflows its stack on long blocks
            file.write(samples[start : start + 4096])
    return buffer.getvalue()


def with_fixed_serial(ogg: bytes) -> bytes:
    """The same Ogg stream with serial number 1: the encoder draws a random one, which changes every page."""
    pages, position = [], 0
    while position < len(ogg):
        lengths = ogg[position + 27 : position + 27 + ogg[position + 26]]
        end = position + 27 + len(lengths) + sum(lengths)
        page = bytearray(ogg[position:end])
        page[14:18] = (1).to_bytes(4, "little")
        page[22:26] = bytes(4)
        page[22:26] = ogg_checksum(page).to_bytes(4, "little")
        pages.append(bytes(page))
        position = end
    return b"".join(pages)


def ogg_checksum(page: bytes) -> int:
    """Ogg's CRC-32: the polynomial of zlib's with the bits in the other order, no preset and no inversion."""
    reversed_bits = bytes(int(f"{byte:08b}"[::-1], 2) for byte in page)
    remainder = zlib.crc32(reversed_bits, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{remainder:032b}"[::-1], 2)


def write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
