"""A checkpoint as a predictor: ours through `speech-emotion`, anybody's through `audio-classification`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MSERError
from .clips import Clip
from .predictors import Prediction
from .tasks import Task

EMBEDDED = "mser-tiny"
FIELDS = ("source", "target", "training_set", "seed", "fold")
_WEIGHTS = (".json", ".safetensors", ".bin", ".txt", ".model")


class ModelNotFoundError(MSERError, FileNotFoundError):
    """No checkpoint at that place."""


@dataclass
class CheckpointPredictor:
    """Answers through a Transformers pipeline.

    Example:
        >>> predictor = CheckpointPredictor()  # doctest: +SKIP
        >>> predictor([clip])[0].scores  # doctest: +SKIP
        {'happy': 0.71, ...}
    """

    model: str | None = None
    device: str | None = None
    revision: str | None = None
    _pipe: Any = field(default=None, repr=False)

    @property
    def identity(self) -> dict[str, Any]:
        """The checkpoint's name, and the digest of its files or the commit on the Hub."""
        folder = self._folder()
        if folder is not None:
            return {"name": folder.name, "digest": digest_of(folder)}
        return {"name": self.model, "revision": self._commit()}

    @property
    def pipe(self) -> Any:
        """The pipeline, loaded when it is first needed."""
        if self._pipe is None:
            self._pipe = self._load()
        return self._pipe

    def __call__(self, clips: Sequence[Clip]) -> list[Prediction]:
        """Scores, and where the model has them embeddings, of some clips in one batch."""
        if self.pipe.task == "audio-classification":
            return [_prediction(answer) for answer in self.pipe([_array(clip) for clip in clips], top_k=None)]
        answers = self.pipe([clip.audio for clip in clips], batch_size=len(clips), return_embeddings=True)
        return [_prediction(answer) for answer in answers]

    def _commit(self) -> str | None:
        from transformers.utils.hub import resolve_revision

        return getattr(resolve_revision(self.model, self.revision), "resolved", self.revision)

    def _folder(self) -> Path | None:
        if self.model is None:
            from ..registration import EMBEDDED_CHECKPOINT

            return EMBEDDED_CHECKPOINT
        folder = Path(self.model).expanduser()
        if not folder.is_dir():
            if self.model.startswith((".", "/", "~")):
                raise ModelNotFoundError(f"There is no checkpoint {self.model}. Give a folder or a name on the Hub.")
            return None
        if not (folder / "config.json").is_file():
            raise ModelNotFoundError(f"{folder} holds no config.json, so it is no checkpoint.")
        return folder

    def _load(self) -> Any:
        from transformers import AutoConfig, pipeline

        from ..configuration_mser import SpeechEmotionConfig

        folder = self._folder()
        where = str(folder) if folder is not None else str(self.model)
        options: dict[str, Any] = {"revision": self.revision} if self.revision else {}
        ours = isinstance(AutoConfig.from_pretrained(where, **options), SpeechEmotionConfig)
        task: Any = "speech-emotion" if ours else "audio-classification"
        return pipeline(task, model=where, device=self.device, **options)


@dataclass
class CheckpointFactory:
    """The checkpoint for each task: one for all, or, where `model` is a pattern, one trained for the task.

    `runs/{training_set}-seed{seed}` is filled in with the task's `source`, `target`, `training_set`, `seed`,
    `fold`. With `adapt`, the model first sees the task's test clips without their labels (`pipe.adapt`).
    """

    model: str | None = None
    device: str | None = None
    revision: str | None = None
    adapt: bool = False
    _current: CheckpointPredictor | None = field(default=None, repr=False)

    @property
    def by_task(self) -> bool:
        """Whether every task has its own checkpoint."""
        return self.model is not None and any("{" + name + "}" in self.model for name in FIELDS)

    def identity(self, tasks: Sequence[Task]) -> dict[str, Any]:
        """What predicts, over all tasks."""
        models = dict.fromkeys(map(self._model_of, tasks)) if self.by_task else {self.model: None}
        found = [self._predictor(model).identity for model in models]
        whole = found[0] if len(found) == 1 else {"name": self.model, "checkpoints": found}
        return {**whole, "adapted": self.adapt}

    def __call__(self, task: Task) -> CheckpointPredictor:
        """The predictor for one task; a checkpoint that serves consecutive tasks is loaded once."""
        if self.adapt:
            self._current = None  # an adapted model has left its checkpoint: the next task starts from there again
        predictor = self._predictor(self._model_of(task))
        if self.adapt:
            predictor.pipe.adapt([clip.audio for clip in task.test])
        return predictor

    def _predictor(self, model: str | None) -> CheckpointPredictor:
        if self._current is None or self._current.model != model:
            self._current = CheckpointPredictor(model, self.device, self.revision)
        return self._current

    def _model_of(self, task: Task) -> str | None:
        if self.model is None or not self.by_task:
            return self.model
        return self.model.format(**{name: getattr(task, name) for name in FIELDS})


def digest_of(folder: Path) -> str:
    """A digest of everything in a checkpoint folder that decides its answers.

    Example:
        >>> len(digest_of(Path(".")))
        16
    """
    total = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in _WEIGHTS):
        with path.open("rb") as file:
            total.update(path.name.encode() + _digest(file))
    return total.hexdigest()[:16]


def _array(clip: Clip) -> dict[str, Any]:
    from ..audio import SAMPLING_RATE, load_audio

    return {"raw": load_audio(clip.audio), "sampling_rate": SAMPLING_RATE}


def _prediction(answer: Any) -> Prediction:
    scores = answer["scores"] if isinstance(answer, dict) else answer
    embedding = np.asarray(answer["embedding"], np.float32) if isinstance(answer, dict) else None
    return Prediction({entry["label"]: entry["score"] for entry in scores}, embedding)


def _digest(file: Any) -> bytes:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.digest()
