"""`pipeline("speech-emotion")`: any audio in, the probability of every emotion out."""

import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers.pipelines.base import ChunkPipeline

from .adaptation import AdaptationReport, adapt
from .audio import SAMPLING_RATE, AudioError, iter_windows, source_name
from .batching import alike_batches, read_ahead, run_ahead
from .errors import MSERError

T = TypeVar("T")
R = TypeVar("R")

TIMELINE_WINDOW_S = 4.0
PREPROCESS_KEYS = ("sampling_rate", "window_s", "hop_s", "on_error", "batch_seconds")
ON_ERROR = ("raise", "record")


class PipelineOptionError(MSERError, ValueError):
    """An option of the pipeline has a value that makes no sense."""


class SpeechEmotionPipeline(ChunkPipeline):
    """Speech emotion recognition: the model weighs every emotion word for a clip of any length and kind.

    Example:

    ```python
    >>> import hf_mser
    >>> from transformers import pipeline

    >>> pipe = pipeline("speech-emotion")
    >>> result = pipe("examples/clips/de_angry.flac", top_k=2)
    >>> [sorted(entry) for entry in result]
    [['label', 'score'], ['label', 'score']]

    ```
    """

    _load_processor = True
    _load_tokenizer = False
    _load_feature_extractor = False
    _load_image_processor = False
    _load_video_processor = False

    _has_listened = False

    def __call__(self, inputs: Any, *args: Any, progress: bool = False, **kwargs: Any) -> Any:
        """
        Args:
            inputs: A clip, a list of clips, or any iterable of clips (a generator, a column of a dataset), which is
                streamed. A clip is a path, a URL, bytes, an open file, an array (with `sampling_rate`), a
                dictionary `{"array" | "raw": ..., "sampling_rate": ...}` or what `datasets.Audio` gives.
            top_k (`int`, *optional*): How many labels to return; all by default.
            candidate_labels (`list[str]`, *optional*): Words of one's own to weigh, instead of the model's labels.
            return_timestamps (`bool`, *optional*): Also say how the emotion moves over time, in overlapping windows.
            window_s, hop_s (`float`, *optional*): Length and step of the windows, in seconds.
            on_error (`str`, *optional*, defaults to `"raise"`):
                `"record"` turns a bad file into `{"error", "input"}` and goes on.
            sampling_rate (`int`, *optional*): The rate of clips that are bare arrays.
            return_embeddings (`bool`, *optional*): Add the emotion embedding of the clip.
            min_confidence (`float`, *optional*):
                Abstain below it: the answer is `{"label": None, "score", "scores"}` where no label scores as much.
            batch_size (`int`, *optional*, defaults to 1): How many windows the model reads at once.
            batch_seconds (`float`, *optional*):
                The most audio in a batch, padding counted: long windows then come in smaller batches than short ones.
            num_workers (`int`, *optional*):
                How many threads decode, and on a CPU how many batches run side by side. By default as many as PyTorch
                has threads if `inputs` is a list of several batches; a stream is read ahead only if this asks for it.
            progress (`bool`, *optional*): Show a progress bar on standard error, if it is a terminal.

        Returns:
            For a clip `[{"label", "score"}, ...]`, best first, adding up to 1; with `return_timestamps`,
            `return_embeddings` or `min_confidence` a dictionary `{"label", "score", "scores", ...}`. A list of those
            for a list, an iterator for a stream.
        """
        if isinstance(inputs, (list, tuple)) and not inputs:
            return []
        if progress and sys.stderr.isatty() and isinstance(inputs, Iterable):
            total = len(inputs) if isinstance(inputs, Sized) else None
            inputs = tqdm(inputs, total=total, unit="clip", file=sys.stderr)
        if _is_stream(inputs):
            inputs = (clip for clip in inputs)
        return super().__call__(inputs, *args, **kwargs)

    def _sanitize_parameters(
        self,
        top_k: int | None = None,
        candidate_labels: Sequence[str] | str | None = None,
        return_timestamps: bool | None = None,
        return_embeddings: bool | None = None,
        min_confidence: float | None = None,
        **options: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        unknown = sorted(set(options) - set(PREPROCESS_KEYS))
        if unknown:
            raise PipelineOptionError(f"Unknown option {unknown[0]!r} of the speech-emotion pipeline.")
        preprocess = {name: value for name, value in options.items() if value is not None}
        if preprocess.get("on_error", "raise") not in ON_ERROR:
            raise PipelineOptionError(f"on_error={preprocess['on_error']!r} is unknown; use one of {ON_ERROR}.")
        forward: dict[str, Any] = {}
        postprocess: dict[str, Any] = {}
        if not preprocess.get("batch_seconds", 1) > 0:
            raise PipelineOptionError(f"batch_seconds={preprocess['batch_seconds']} must be greater than 0.")
        if top_k is not None:
            if top_k < 1:
                raise PipelineOptionError(f"top_k={top_k} must be at least 1.")
            postprocess["top_k"] = top_k
        if candidate_labels is not None:
            words = [candidate_labels] if isinstance(candidate_labels, str) else list(candidate_labels)
            if not words:
                raise PipelineOptionError("candidate_labels is empty: give at least one word.")
            forward["candidate_labels"] = words
            postprocess["labels"] = words
        if return_timestamps is not None:
            preprocess["timeline"] = postprocess["timeline"] = return_timestamps
        if return_embeddings is not None:
            postprocess["return_embeddings"] = return_embeddings
        if min_confidence is not None:
            if not 0 <= min_confidence <= 1:
                raise PipelineOptionError(f"min_confidence={min_confidence} must be a probability, from 0 to 1.")
            postprocess["min_confidence"] = min_confidence
        return preprocess, forward, postprocess

    def preprocess(
        self,
        source: Any,
        sampling_rate: int | None = None,
        window_s: float | None = None,
        hop_s: float | None = None,
        timeline: bool = False,
        on_error: str = "raise",
    ) -> Iterator[dict[str, Any]]:
        """The windows of one clip; the last one says so. A bad clip gives its error instead, if that is wanted."""
        longest = float(self.model.config.window_seconds)
        window = window_s or (min(TIMELINE_WINDOW_S, longest) if timeline else longest)
        if not 0 < window <= 30:
            raise PipelineOptionError(f"window_s={window} must be greater than 0 and at most 30 seconds.")
        hop = hop_s or (window / 2 if timeline else window)
        if not 0 < hop <= window:
            raise PipelineOptionError(f"hop_s={hop} must be greater than 0 and at most the window of {window} s.")
        try:
            windows = iter_windows(source, window, hop, sampling_rate)
            current = next(windows)
            for following in windows:
                yield _window(current, is_last=False)
                current = following
            yield _window(current, is_last=True)
        except AudioError as error:
            if on_error == "raise":
                raise
            yield {"error": str(error), "input": source_name(source), "is_last": True}

    def _forward(
        self, windows: list[dict[str, Any]], candidate_labels: list[str] | None = None
    ) -> list[dict[str, Any]]:
        """Probabilities and embedding of each window; windows that hold an error pass through."""
        heard = [window for window in windows if "samples" in window]
        if heard:
            features, mask = self.processor.extract_features([window.pop("samples") for window in heard])
            speech = self.model.connect_speech(features.to(self.device), mask.to(self.device))
            scores = self._scores(speech, candidate_labels)
            probabilities = (scores / self.model.config.temperature).softmax(-1).double().cpu().numpy()
            embeddings = speech.speech_embeds.float().cpu().numpy()
            for window, row, embedding in zip(heard, probabilities, embeddings, strict=True):
                window["probabilities"], window["embedding"] = row, embedding
        return windows

    def _scores(self, speech: Any, candidate_labels: list[str] | None) -> torch.Tensor:
        """A score for each label or candidate, from what the connector says of some windows."""
        if not hasattr(self.model, "score_emotions"):
            return _chosen_scores(self.model.classify(speech), self.model.config.labels, candidate_labels)
        prompt, candidates = None, None
        if candidate_labels is not None:
            count = len(speech.speech_embeds)
            prompt = self.processor.tokenize_prompt(count, candidates=candidate_labels)["input_ids"].to(self.device)
            candidates = self.processor.candidate_ids(candidate_labels)
        return self.model.score_emotions(
            speech_tokens=speech.speech_tokens,
            speech_readings=speech.readings,
            input_ids=prompt,
            candidate_ids=candidates,
        )

    def postprocess(
        self,
        windows: list[dict[str, Any]],
        top_k: int | None = None,
        labels: list[str] | None = None,
        timeline: bool = False,
        return_embeddings: bool = False,
        min_confidence: float | None = None,
    ) -> Any:
        """One clip's windows -> its answer. Windows count by their length."""
        if "error" in windows[-1]:
            return {"error": windows[-1]["error"], "input": windows[-1]["input"]}
        labels = labels or self.model.config.labels
        lengths = np.array([window["end"] - window["start"] for window in windows])
        weights = lengths / lengths.sum()
        scores = _ranked(labels, weights @ np.stack([window["probabilities"] for window in windows]), top_k)
        if not timeline and not return_embeddings and min_confidence is None:
            return scores
        answer: dict[str, Any] = {**_top(scores, min_confidence), "scores": scores}
        if timeline:
            answer["segments"] = [_segment(labels, window, top_k, min_confidence) for window in windows]
        if return_embeddings:
            embedding = weights @ np.stack([window["embedding"] for window in windows])
            answer["embedding"] = (embedding / np.linalg.norm(embedding)).tolist()
        return answer

    def adapt(
        self,
        clips: Iterable[Any],
        sampling_rate: int | None = None,
        speakers: Iterable[Hashable] | None = None,
        **options: Any,
    ) -> AdaptationReport:
        """Fit the model to unlabelled clips of one's own domain: statistics alone, no training, in seconds.

        From a handful to thousands of clips, of all the emotions that the domain has; where it is known who speaks
        in each, `speakers` helps, and so does `labels` where it has not all that the model knows. `save_pretrained`
        keeps the result. See [`hf_mser.adaptation.adapt`], which takes the options.
        """
        return adapt(self.model, self.processor, clips, sampling_rate=sampling_rate, speakers=speakers, **options)

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """Model and processor; together with the code that the model saves, the folder is complete."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory)

    def get_iterator(
        self,
        inputs: Iterable[Any],
        num_workers: int,
        batch_size: int,
        preprocess_params: dict[str, Any],
        forward_params: dict[str, Any],
        postprocess_params: dict[str, Any],
    ) -> Iterator[Any]:
        """Batches fill up with windows across clips; answers come in the order of the clips.

        The base class would hand batches to a tokenizer's padding, which knows nothing of features. Here raw
        windows are collected, those of similar length together, and the processor pads their features. Threads
        decode the next clips while the model listens, and on a CPU batches run side by side: one thread each on a
        batch of its own wastes less than many threads that wait for each other within every product.
        """
        if batch_size < 1 or num_workers < 0:
            raise PipelineOptionError(f"batch_size={batch_size} and num_workers={num_workers} must be at least 1.")
        batch_seconds = preprocess_params.get("batch_seconds")
        budget = None if batch_seconds is None else batch_seconds * SAMPLING_RATE
        options = {name: value for name, value in preprocess_params.items() if name != "batch_seconds"}
        readers, runners = self._workers(inputs, num_workers, batch_size)

        def read(source: Any) -> Iterator[dict[str, Any]]:
            return self.preprocess(source, **options)

        def listen(batch: list[tuple[int, dict[str, Any]]]) -> list[tuple[int, dict[str, Any]]]:
            places, batch_windows = zip(*batch, strict=True)
            return list(zip(places, self.forward(list(batch_windows), **forward_params), strict=True))

        windows: Iterator[dict[str, Any]] = (
            read_ahead(inputs, read, readers, batch_size)
            if readers
            else (window for source in inputs for window in read(source))
        )
        batches = alike_batches(windows, batch_size, _length, budget)
        answered: Iterator[list[tuple[int, dict[str, Any]]]] = map(listen, batches)
        if runners > 1:
            answered = _side_by_side(batches, listen, runners, first_alone=not self._has_listened)
        heard: dict[int, dict[str, Any]] = {}  # by their place in the input, as long as an earlier one is missing
        place = 0
        clip: list[dict[str, Any]] = []
        for batch in answered:
            heard.update(batch)
            self._has_listened = True
            while place in heard:
                clip.append(heard.pop(place))
                place += 1
                if clip[-1]["is_last"]:
                    yield self.postprocess(clip, **postprocess_params)
                    clip = []

    def _workers(self, inputs: Iterable[Any], wanted: int, batch_size: int) -> tuple[int, int]:
        """How many threads decode (0: the caller's own does), and how many batches run side by side."""
        on_cpu = self.device.type == "cpu"
        if wanted:
            return wanted, wanted if on_cpu else 1
        if not isinstance(inputs, list) or len(inputs) < 2:  # a stream may not like to be read before it is asked
            return 0, 1
        threads = torch.get_num_threads()
        return threads, min(threads, -(-len(inputs) // batch_size)) if on_cpu else 1


_SHARING = threading.Lock()
_shared: list[int] = []  # PyTorch's threads as they were, once for every run that shares them out


def _side_by_side(batches: Iterator[T], listen: Callable[[T], R], runners: int, first_alone: bool) -> Iterator[R]:
    """`listen` to several batches at once, each within its share of PyTorch's threads (a setting of the process).

    Libraries set themselves up at their first use, and not all of them bear two threads at that moment: `first_alone`.
    The first batch has no more threads than the others, though: how a product is shared out decides its last digits.
    """
    with _SHARING:
        _shared.append(_shared[0] if _shared else torch.get_num_threads())
        torch.set_num_threads(max(1, _shared[0] // runners))
    try:
        if first_alone:
            yield from map(listen, islice(batches, 1))
        yield from run_ahead(batches, listen, runners)
    finally:
        with _SHARING:
            before = _shared.pop()
            if not _shared:
                torch.set_num_threads(before)


def _window(window: Any, is_last: bool) -> dict[str, Any]:
    return {"samples": window.samples, "start": window.start, "end": window.end, "is_last": is_last}


def _chosen_scores(logits: torch.Tensor, labels: Sequence[str], candidate_labels: Sequence[str] | None) -> torch.Tensor:
    """A classifier's scores of the candidates, which must be labels of its own."""
    if candidate_labels is None:
        return logits.float()
    unknown = [word for word in candidate_labels if word not in labels]
    if unknown:
        raise PipelineOptionError(
            f"candidate_labels: this model is a classifier and knows {', '.join(labels)}, not {unknown[0]!r}. Choose "
            "among them, or use a model that answers through an LLM."
        )
    return logits[:, [labels.index(word) for word in candidate_labels]].float()


def _length(window: dict[str, Any]) -> int:
    return len(window["samples"]) if "samples" in window else 0


def _ranked(labels: Sequence[str], probabilities: np.ndarray, top_k: int | None) -> list[dict[str, Any]]:
    order = np.argsort(-probabilities, kind="stable")[:top_k]
    return [{"label": labels[index], "score": float(probabilities[index])} for index in order]


def _top(scores: list[dict[str, Any]], min_confidence: float | None) -> dict[str, Any]:
    """The best label and its score; no label if that is not sure enough."""
    best = scores[0]
    return {**best, "label": None} if min_confidence is not None and best["score"] < min_confidence else best


def _segment(
    labels: Sequence[str], window: dict[str, Any], top_k: int | None, min_confidence: float | None
) -> dict[str, Any]:
    scores = _ranked(labels, window["probabilities"], top_k)
    return {"start": window["start"], "end": window["end"], **_top(scores, min_confidence), "scores": scores}


def _is_stream(inputs: Any) -> bool:
    """Whether `inputs` gives clip after clip, without being a list: generators, maps, columns of datasets."""
    one_clip = isinstance(
        inputs, (str, bytes, bytearray, dict, np.ndarray, torch.Tensor, list, torch.utils.data.Dataset)
    )
    readable = hasattr(inputs, "read") or hasattr(inputs, "get_all_samples") or hasattr(inputs, "__fspath__")
    return isinstance(inputs, Iterable) and not one_clip and not readable


__all__ = ["SpeechEmotionPipeline"]
