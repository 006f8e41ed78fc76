"""From rows of a corpus to a batch: sound (or cached frames), the prompt with its answer, and class ids.

Frames that the cache holds are read here, in the loader's workers; clips that it lacks come as features, with
`missing_rows` to say whose they are, and the trainer encodes them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..audio import load_audio
from ..errors import MSERError
from ..objectives import UNLABELLED
from .augmentation import Augmentation
from .balance import identity
from .feature_keys import clip_key
from .features import FrozenFeatureCache


class BatchError(MSERError, ValueError):
    """Rows that no batch can be made of."""


class EmotionCollator:
    """Rows in the corpus schema (`audio`, `emotion`, ...) become a batch for the model and the objectives.

    Args:
        processor: the model's `MSERProcessor`.
        labels: the emotion words in the order of the model's `config.id2label`.
        emotions: the words behind the integers of the rows' `emotion`; by default the same as `labels`.
        cache: where frozen frames are kept; without it every batch carries features.
        augmentation: what may happen to training clips; never applied by `for_evaluation()`.
        ids: for columns that an objective reads: `{"language": {"de": 0, ...}}` becomes `language_id` in a batch.
        seed: of the augmentation; together with `epoch` and the clip's content it decides everything.

    Example:
        >>> collator = EmotionCollator(processor, labels=["happy", "sad"])  # doctest: +SKIP
        >>> collator([{"audio": "clip.wav", "emotion": "sad"}])["emotion_id"]  # doctest: +SKIP
        tensor([1])
    """

    def __init__(
        self,
        processor: Any,
        labels: Sequence[str],
        *,
        emotions: Sequence[str] | None = None,
        cache: FrozenFeatureCache | None = None,
        augmentation: Augmentation | None = None,
        ids: Mapping[str, Mapping[str, int]] | None = None,
        seed: int = 0,
    ) -> None:
        self.processor = processor
        self.labels = list(labels)
        self.emotions = list(emotions) if emotions is not None else self.labels
        self.cache = cache
        self.augmentation = augmentation
        self.ids = {column: dict(values) for column, values in (ids or {}).items()}
        self.seed = seed
        self.epoch = 0
        self._knows_all = True

    def for_evaluation(self) -> EmotionCollator:
        """The same without augmentation, and with strangers among speakers, languages and the like."""
        plain = copy.copy(self)
        plain.augmentation = None
        plain._knows_all = False
        return plain

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        words = [self._word(row) for row in rows]
        emotions = torch.tensor([UNLABELLED if word is None else self.labels.index(word) for word in words])
        # A classifier answers with a class, the others with words.
        asks = hasattr(self.processor, "tokenize_prompt")
        batch: dict[str, Any] = self._prompts(words) if asks else {"labels": emotions}
        batch["emotion_id"] = emotions
        for column, values in self.ids.items():
            batch[f"{column}_id"] = torch.tensor([self._id(row, column, values) for row in rows])
        return batch | self._speech([row["audio"] for row in rows])

    def _word(self, row: Mapping[str, Any]) -> str | None:
        emotion = row.get("emotion")
        if emotion is None or emotion == UNLABELLED:
            return None
        word = emotion if isinstance(emotion, str) else self.emotions[emotion]
        if word not in self.labels:
            raise BatchError(
                f"The model has no label {word!r} (it has {', '.join(self.labels)}). Leave such clips out, or "
                "train a model with this label."
            )
        return word

    def _id(self, row: Mapping[str, Any], column: str, values: Mapping[str, int]) -> int:
        value = identity(row, column)
        if value is not None and value not in values and self._knows_all:
            raise BatchError(f"The {column} {value!r} is new; ids were made for {len(values)} others.")
        return UNLABELLED if value is None else values.get(value, UNLABELLED)

    def _prompts(self, words: Sequence[str | None]) -> dict[str, Tensor]:
        """The prompt and the answer; a clip without a label has an answer that nothing is learned from."""
        answers = [word or self.labels[0] for word in words]
        prompts = self.processor.tokenize_prompt(len(words), answers=answers)
        unlabelled = torch.tensor([word is None for word in words])
        prompts["labels"] = prompts["labels"].masked_fill(unlabelled[:, None], UNLABELLED)
        return prompts

    def _speech(self, sources: Sequence[Any]) -> dict[str, Any]:
        augmentation = self.augmentation
        cache = self.cache if augmentation is None or augmentation.variants else None
        if cache is None and augmentation is None:
            return self._features([load_audio(source) for source in sources])
        keys, randoms = zip(*[self._key(source) for source in sources], strict=True)
        if cache is None:
            return self._augmented_features(sources, randoms)
        found = {row: frames for row, key in enumerate(keys) if (frames := cache.get(key)) is not None}
        missing = [row for row in range(len(sources)) if row not in found]
        speech: dict[str, Any] = pad_frames(found, len(sources)) if found else {}
        if missing:
            speech |= self._augmented_features([sources[row] for row in missing], [randoms[row] for row in missing])
            speech["missing_rows"] = torch.tensor(missing)
            speech["missing_keys"] = [keys[row] for row in missing]
        return speech

    def _key(self, source: Any) -> tuple[str, np.random.Generator | None]:
        """The clip's key in the cache, and the generator of its changes (none without augmentation)."""
        if isinstance(source, Mapping) and source.get("bytes") is None and source.get("path") is not None:
            source = source["path"]
        try:
            key = clip_key(source)
        except FileNotFoundError:
            load_audio(source)  # raises the error that says what to do
            raise
        if self.augmentation is None:
            return key, None
        number = int(key[:12], 16)
        variants = self.augmentation.variants
        variant = int(np.random.default_rng([self.seed, self.epoch, number]).integers(2**31))
        if variants:
            variant %= variants
        return f"{key}-{self.seed}-{variant}", np.random.default_rng([self.seed, number, variant])

    def _augmented_features(
        self, sources: Sequence[Any], randoms: Sequence[np.random.Generator | None]
    ) -> dict[str, Tensor]:
        clips = [load_audio(source) for source in sources]
        if self.augmentation is None:
            return self._features(clips)
        drawn = [(clip, random) for clip, random in zip(clips, randoms, strict=True) if random is not None]
        speech = self._features([self.augmentation.waveform(clip, random) for clip, random in drawn])
        for row, (_, random) in enumerate(drawn):
            frames = int(speech["input_features_mask"][row].sum())
            speech["input_features"][row] = self.augmentation.features(speech["input_features"][row], frames, random)
        return speech

    def _features(self, clips: Sequence[np.ndarray]) -> dict[str, Tensor]:
        features, mask = self.processor.extract_features(clips)
        return {"input_features": features, "input_features_mask": mask}


def pad_frames(found: Mapping[int, Tensor], count: int) -> dict[str, Tensor]:
    """Frames (layers, time, width) of some rows of a batch of `count`, padded to the longest, and their mask.

    Example:
        >>> padded = pad_frames({1: torch.ones(2, 3, 4)}, count=2)
        >>> padded["speech_frames"].shape, padded["speech_frames_mask"].sum(1).tolist()
        (torch.Size([2, 2, 3, 4]), [0, 3])
    """
    layers, _, width = next(iter(found.values())).shape
    longest = max(frames.shape[1] for frames in found.values())
    some = next(iter(found.values()))
    padded = some.new_zeros(count, layers, longest, width)
    mask = torch.zeros(count, longest, dtype=torch.bool)
    for row, frames in found.items():
        padded[row, :, : frames.shape[1]] = frames
        mask[row, : frames.shape[1]] = True
    return {"speech_frames": padded, "speech_frames_mask": mask}
