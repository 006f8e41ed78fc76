"""A small English corpus of made-up voices, as `prepare` would leave it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from made_up_voices import TEXT, voice

EMOTIONS = ("neutral", "happy", "sad")
SPEAKERS = {"ann": ("female", "train"), "bob": ("male", "train"), "cy": ("male", "test")}


@pytest.fixture(scope="session")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine clips: three speakers, three emotions; one speaker is in the test split."""
    folder = tmp_path_factory.mktemp("english")
    rows = []
    for number, (speaker, (gender, split)) in enumerate(SPEAKERS.items()):
        for position, emotion in enumerate(EMOTIONS):
            name = f"{speaker}_{emotion}.wav"
            soundfile.write(folder / name, voice(1.0 + 0.1 * position, 120 + 40 * number, seed=number), 16_000)
            rows.append(
                {
                    "file_name": name,
                    "emotion": emotion,
                    "speaker": speaker,
                    "gender": gender,
                    "language": "en",
                    "text": TEXT,
                    "split": split,
                    "corpus": "made_up",
                    "licence": "CC0",
                }
            )
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """All files of a folder with their bytes."""
    return lambda folder: {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
