"""The systems that a user would reach for instead, each learning from a task's training side.

(a) openSMILE eGeMAPS functionals and an SVM; (b) pooled Whisper features of one layer and logistic
regression; (c) transformers' WhisperForAudioClassification, encoder frozen, fine-tuned by the stock Trainer.
Nothing is chosen on test clips: for each training set the one free setting of a system (`GRIDS`) is chosen on
its validation speakers, then the system learns from training and validation clips together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hf_mser.emotions import EMOTIONS
from hf_mser.evaluation.clips import Clip
from hf_mser.evaluation.metrics import confusion_matrix, unweighted_accuracy
from hf_mser.evaluation.predictors import Prediction
from hf_mser.evaluation.tasks import Task

Features = Mapping[str, np.ndarray]
"""Clip key -> feature array."""

GRIDS: dict[str, tuple[float, ...]] = {
    "svm": (1.0,),  # C
    "regression": (0.003, 0.03),  # C
    "trainer": (3e-3, 1e-2),  # learning rate
}
EPOCHS = 10
BATCH = 128


@dataclass(frozen=True)
class System:
    """A baseline by name: which features it reads, how it learns, whether it sees unlabelled statistics."""

    name: str
    features: str
    learner: str
    layer: int | None = None
    per_corpus: bool = False
    """Standardise each corpus by its own mean and deviation, which needs no labels but its clips."""
    weighted_layers: bool = False
    random: bool = False
    """Whether the seed changes anything."""

    @property
    def identity(self) -> dict[str, Any]:
        """What results say of the system."""
        return {"name": self.name, "features": self.features, "learner": self.learner, "grid": GRIDS[self.learner]}


LAYERS = 7
SYSTEMS: tuple[System, ...] = (
    *(System(f"egemaps-svm{'-adapted' * a}", "egemaps", "svm", per_corpus=a) for a in (False, True)),
    *(
        System(f"whisper-layer{layer}{'-adapted' * a}", "whisper", "regression", layer, per_corpus=a)
        for layer in range(LAYERS)
        for a in (False, True)
    ),
    *(
        System(
            f"whisper-classifier-{kind}{padding.replace('_', '-')}",
            f"whisper{padding}",
            "trainer",
            weighted_layers=kind == "mix",
            random=True,
        )
        for padding in ("", "_padded")
        for kind in ("last", "mix")
    ),
)


@dataclass
class TrainedOnTask:
    """A predictor factory: learns from each training set once, answers from the features of the test clips."""

    system: System
    features: Features
    models: dict[tuple[str, int], Any] = field(default_factory=dict)
    settings: dict[str, float] = field(default_factory=dict)
    """Training set -> what was chosen on its validation speakers."""

    @property
    def identity(self) -> dict[str, Any]:
        """See `System.identity`."""
        return self.system.identity

    def __call__(self, task: Task) -> Answering:
        """The predictor for one task."""
        chosen = _chosen(self.features, self.system)
        if self.system.per_corpus:
            chosen = standardised_by_corpus(chosen, (*task.train, *task.validation, *task.test))
        key = (task.training_set, task.seed)
        if key not in self.models:
            if task.training_set not in self.settings:
                self.settings[task.training_set] = self._setting(task, chosen)
            inputs, labels = _table(chosen, (*task.train, *task.validation))
            self.models[key] = fit(self.system, inputs, labels, self.settings[task.training_set], task.seed)
        return Answering(self.models[key], chosen, self.identity)

    def _setting(self, task: Task, features: Features) -> float:
        """The setting with the best mean UA over the corpora of the validation speakers."""
        settings = GRIDS[self.system.learner]
        if len(settings) == 1:
            return settings[0]
        inputs, labels = _table(features, task.train)

        def validation_ua(setting: float) -> float:
            answering = Answering(fit(self.system, inputs, labels, setting, task.seed), features, {})
            return _mean_ua(answering, task.validation)

        return max(settings, key=validation_ua)


def _table(features: Features, clips: Sequence[Clip]) -> tuple[np.ndarray, np.ndarray]:
    labels = np.array([EMOTIONS.index(str(clip.emotion)) for clip in clips])
    return np.stack([features[clip.key] for clip in clips]), labels


def _mean_ua(answering: Answering, clips: Sequence[Clip]) -> float:
    answers = [max(p.scores, key=p.scores.__getitem__) for p in answering(clips)]
    values = []
    for corpus in sorted({clip.corpus for clip in clips}):
        pairs = [(c.emotion, a) for c, a in zip(clips, answers, strict=True) if c.corpus == corpus]
        matrix = confusion_matrix([str(e) for e, _ in pairs], [a for _, a in pairs], EMOTIONS)
        values.append(float(unweighted_accuracy(matrix)))
    return sum(values) / len(values)


@dataclass
class Answering:
    """A fitted model as evaluation sees it."""

    model: Any
    features: Features
    identity: dict[str, Any]

    def __call__(self, clips: Sequence[Clip]) -> list[Prediction]:
        """Probabilities over the seven emotions."""
        inputs = np.stack([self.features[clip.key] for clip in clips])
        return [Prediction(dict(zip(EMOTIONS, row.tolist(), strict=True))) for row in self.model(inputs)]


def standardised_by_corpus(features: Features, clips: Sequence[Clip]) -> dict[str, np.ndarray]:
    """Each corpus to mean 0 and deviation 1 in every dimension, by its own clips and without labels."""
    members: dict[str, list[str]] = {}
    for clip in clips:
        members.setdefault(clip.corpus, []).append(clip.key)
    result: dict[str, np.ndarray] = {}
    for keys in members.values():
        values = np.stack([features[key] for key in keys])
        result.update(zip(keys, (values - values.mean(0)) / (values.std(0) + 1e-6), strict=True))
    return result


def fit(system: System, inputs: np.ndarray, labels: np.ndarray, setting: float, seed: int) -> Any:
    """A function from features to probabilities over the seven emotions."""
    if system.learner == "trainer":
        return _fit_trainer(system, inputs, labels, setting, seed)
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    if system.learner == "svm":
        learner = SVC(C=setting, class_weight="balanced", decision_function_shape="ovr")
    else:
        learner = LogisticRegression(C=setting, class_weight="balanced", max_iter=500, tol=1e-3)
    model = make_pipeline(StandardScaler(), learner).fit(inputs, labels)
    columns = model.classes_

    def probabilities(batch: np.ndarray) -> np.ndarray:
        # The SVM's margins through a softmax rank the classes as it does; they are no calibrated
        # probabilities.
        scores = model.decision_function(batch) if system.learner == "svm" else model.predict_log_proba(batch)
        spread = np.exp(scores - scores.max(1, keepdims=True))
        result = np.zeros((len(batch), len(EMOTIONS)))
        result[:, columns] = spread / spread.sum(1, keepdims=True)
        return result

    return probabilities


def _fit_trainer(system: System, inputs: np.ndarray, labels: np.ndarray, rate: float, seed: int) -> Any:
    """transformers' own classifier and Trainer.

    The model projects every frame, averages over time, and classifies; the projection is linear, so with a
    frozen encoder the mean frame of each layer is all that it ever reads, and training needs no audio.
    """
    import torch
    from transformers import Trainer, TrainingArguments, set_seed

    set_seed(seed)
    model = frozen_classifier(system.weighted_layers)
    dataset = [
        {"layer_means": torch.from_numpy(frames), "labels": int(label)}
        for frames, label in zip(inputs, labels, strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            learning_rate=rate,
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=BATCH,
            seed=seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            logging_strategy="no",
            remove_unused_columns=False,
            use_cpu=True,
            dataloader_pin_memory=False,
        )
        Trainer(model=model, args=arguments, train_dataset=dataset).train()
    model.eval()

    def probabilities(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(layer_means=torch.from_numpy(batch)).logits.softmax(-1).numpy()

    return probabilities


def frozen_classifier(weighted_layers: bool, width: int = 512, layers: int = 6) -> Any:
    """`WhisperForAudioClassification` that reads the mean frame of each layer in the place of audio."""
    import torch
    from transformers import WhisperConfig, WhisperForAudioClassification
    from transformers.modeling_outputs import BaseModelOutput

    class FromLayerMeans(WhisperForAudioClassification):
        def forward(self, layer_means: Any, labels: Any = None, **kwargs: Any) -> Any:
            states = tuple(layer_means[:, layer : layer + 1] for layer in range(layer_means.shape[1]))
            outputs = BaseModelOutput(last_hidden_state=states[-1], hidden_states=states)
            return super().forward(encoder_outputs=outputs, labels=labels)

    config = WhisperConfig(
        d_model=width,
        encoder_layers=layers,
        encoder_attention_heads=8,
        use_weighted_layer_sum=weighted_layers,
        num_labels=len(EMOTIONS),
    )
    model = FromLayerMeans(config)
    model.encoder = torch.nn.Identity()  # its outputs are the input
    return model


def _chosen(features: Features, system: System) -> Features:
    if system.learner == "svm":
        return features
    if system.layer is not None:
        return {key: value[system.layer] for key, value in features.items()}
    return {key: value[:, : value.shape[-1] // 2] for key, value in features.items()}  # the means alone
