"""Recipes: a whole training run in one YAML file, checked before anything is loaded.

Every section is a dataclass, so that its fields, types and defaults are written once. A key that no field has, a
value of the wrong type or an impossible number is an error that names the place, and the nearest valid name.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from ..errors import MSERError
from ..objectives import ObjectiveError, build
from ..objectives.registry import nearest
from .augmentation import Augmentation

Section = TypeVar("Section")


class RecipeError(MSERError, ValueError):
    """A recipe that cannot be followed; the message says where, and what would be valid."""


@dataclass
class ModelSection:
    """Where the model comes from: backbones, or a checkpoint to go on from."""

    kind: Literal["generation", "classification"] = "generation"
    speech: str | None = None
    text: str | None = None
    qformer: str | None = "bert-base-uncased"
    connector: str | None = None  # a checkpoint of either kind, whose Q-Former this one starts from
    checkpoint: str | None = None
    qformer_config: dict[str, Any] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)  # further fields of the model's config
    labels: list[str] | None = None
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    attention: str | None = None
    quantization: Literal["4bit", "8bit"] | None = None

    def check(self, where: str) -> None:
        backbones = self.speech is not None or self.text is not None
        if self.checkpoint is not None and backbones:
            raise RecipeError(f"{where}: a `checkpoint` brings its backbones; leave out `speech` and `text`.")
        if self.kind == "classification":
            if self.checkpoint is None and self.speech is None:
                raise RecipeError(f"{where}: name a `speech` encoder, or a `checkpoint` to go on from.")
            if self.text is not None or self.quantization is not None:
                raise RecipeError(f"{where}: a classifier has no LLM; leave out `text` and `quantization`.")
        elif self.checkpoint is None and (self.speech is None or self.text is None):
            raise RecipeError(f"{where}: name `speech` and `text` backbones, or a `checkpoint` to go on from.")


@dataclass
class LoraTarget:
    """Low-rank adapters on one backbone."""

    r: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: list[str] = field(default_factory=lambda: ["q_proj", "v_proj"])

    def check(self, where: str) -> None:
        if self.r < 1 or self.alpha <= 0 or not 0 <= self.dropout < 1:
            raise RecipeError(f"{where}: r is at least 1, alpha above 0, dropout from 0 to below 1.")


@dataclass
class LoraSection:
    """Adapters are off unless a backbone is named here."""

    text: LoraTarget | None = None
    speech: LoraTarget | None = None


@dataclass
class Source:
    """Clips of one corpus."""

    corpus: str
    split: str | None = None
    splits: Literal["speaker", "official"] = "speaker"
    view: str | None = None
    emotions: list[str] | None = None
    speakers: list[str] | None = None
    clips_per_emotion: int | None = None  # a seeded choice, for quick runs

    def check(self, where: str) -> None:
        if self.clips_per_emotion is not None and self.clips_per_emotion < 1:
            raise RecipeError(f"{where}: clips_per_emotion is {self.clips_per_emotion}; at least 1.")


@dataclass
class DataSection:
    """What is trained on, chosen by, and tested on."""

    train: list[Source]
    validation: list[Source] = field(default_factory=list)
    test: list[Source] = field(default_factory=list)
    root: str | None = None
    max_seconds: float = 30.0
    min_seconds: float = 0.1
    augmentation: Augmentation | None = None
    allow_shared_speakers: bool = False

    def check(self, where: str) -> None:
        if not self.train:
            raise RecipeError(f"{where}.train: name at least one corpus.")
        if not 0 <= self.min_seconds < self.max_seconds:
            raise RecipeError(f"{where}: min_seconds must lie below max_seconds, and not below 0.")


@dataclass
class CacheSection:
    """The frozen-feature cache."""

    folder: str | None = None
    max_gigabytes: float = 50.0

    def check(self, where: str) -> None:
        if self.max_gigabytes <= 0:
            raise RecipeError(f"{where}: max_gigabytes is {self.max_gigabytes}; it must be above 0.")


@dataclass
class Recipe:
    """One training run.

    Example:
        >>> recipe = load_recipe("training/recipes/debug.yaml")  # doctest: +SKIP
        >>> recipe.data.train[0].corpus  # doctest: +SKIP
        'crema_d'
    """

    name: str
    model: ModelSection
    data: DataSection
    objective: list[dict[str, Any]]
    output_dir: str
    training: dict[str, Any] = field(default_factory=dict)
    lora: LoraSection = field(default_factory=LoraSection)
    cache: CacheSection = field(default_factory=CacheSection)
    description: str = ""
    resume: bool = False

    def check(self, where: str) -> None:
        try:
            build(self.objective)
        except ObjectiveError as error:
            raise RecipeError(f"{where}objective: {error}") from error
        if self.model.kind == "classification" and (self.lora.text or self.lora.speech):
            raise RecipeError(f"{where}lora: a classifier's LoRA is its own; set lora_rank in model.settings.")
        _check_training(self.training, f"{where}training")


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, put `key=value` overrides on top, and check all of it.

    Example:
        >>> load_recipe("training/recipes/debug.yaml", ["learning_rate=3e-4"])  # doctest: +SKIP
    """
    return read_recipe(Recipe, path, overrides)


def read_recipe(kind: type[Section], path: str | Path, overrides: Sequence[str] = ()) -> Section:
    """The same for a recipe of any kind: a dataclass whose fields are its keys, and whose `check` checks it.

    Example:
        >>> read_recipe(Recipe, "training/recipes/debug.yaml").name  # doctest: +SKIP
        'debug'
    """
    content = _read(Path(path), seen=())
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    for override in overrides:
        _override(content, override, known, training_fields() if kind is Recipe else {})
    return _section(kind, content, str(path), top=True)


def parse_recipe(content: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """A recipe from its plain content, checked.

    Example:
        >>> parse_recipe({"name": "x"})
        Traceback (most recent call last):
        ...
        hf_mser.training.recipe.RecipeError: recipe: the key `model` is missing.
    """
    return _section(Recipe, content, source, top=True)


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The content of a file, on top of the recipe that it extends."""
    import yaml

    path = path.resolve()
    if path in seen:
        raise RecipeError(f"{path} extends itself: {' -> '.join(map(str, (*seen, path)))}.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        folder = path.parent
        known = sorted(other.name for other in folder.glob("*.yaml")) if folder.is_dir() else []
        hint = nearest(path.name, known) if known else ""
        raise RecipeError(f"There is no recipe {path}. {hint}".strip()) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys to values.")
    base = content.pop("extends", None)
    if not isinstance(base, str | None):
        raise RecipeError(f"{path}: extends={base!r} must be the path of another recipe.")
    return content if base is None else _merge(_read(path.parent / base, (*seen, path)), content)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Mappings are merged key by key; everything else, lists too, is replaced."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _override(content: dict[str, Any], override: str, known: Sequence[str], in_training: Mapping[str, Any]) -> None:
    """`a.b.0.c=value`; a bare name that only `training` knows goes there."""
    import yaml

    path, equals, text = override.partition("=")
    if not equals or not path:
        raise RecipeError(f"{override!r} is no override; write key=value, for example learning_rate=1e-4.")
    keys = path.split(".")
    if keys[0] not in known:
        if keys[0] not in in_training:
            raise RecipeError(f"There is no key {keys[0]!r}. {nearest(keys[0], [*known, *in_training])}")
        keys.insert(0, "training")
    place: Any = content
    try:
        for key in keys[:-1]:
            if isinstance(place, list):
                place = place[int(key)]
            else:
                if place.get(key) is None:
                    place[key] = {}
                place = place[key]
        value = yaml.safe_load(text)
        if isinstance(place, list):
            place[int(keys[-1])] = value
        else:
            place[keys[-1]] = value
    except (ValueError, IndexError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise RecipeError(f"The override {override!r} has no place in this recipe: {error}.") from error


# Checking


def _section(kind: type[Section], content: Any, where: str, *, top: bool = False) -> Section:
    prefix = f"{where}: "
    if not isinstance(content, Mapping):
        raise RecipeError(f"{prefix}expected a mapping of keys to values, not {content!r}.")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for key in content:
        if key not in known:
            raise RecipeError(f"{prefix}there is no key `{key}`. {nearest(key, known)}")
    hints = typing.get_type_hints(kind)
    values = {}
    for name, entry in known.items():
        inner = name if top else f"{where}.{name}"
        if name in content:
            values[name] = _value(hints[name], content[name], inner)
        elif entry.default is MISSING and entry.default_factory is MISSING:
            raise RecipeError(f"{prefix}the key `{name}` is missing.")
    try:
        section = kind(**values)
    except MSERError as error:
        raise RecipeError(f"{where}: {error}") from error
    check = getattr(section, "check", None)
    if check is not None:
        check("" if top else where)
    return section


def _value(kind: Any, value: Any, where: str) -> Any:
    """The value as the type that its field has, or an error."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        plain = [option for option in inner if option is not type(None)]
        for option in plain[:-1]:
            try:
                return _value(option, value, where)
            except RecipeError:
                continue
        return _value(plain[-1], value, where)
    if origin is Literal:
        if value not in inner:
            raise RecipeError(f"{where} is {value!r}. {nearest(value, map(str, inner))}")
        return value
    if is_dataclass(kind):
        return _section(kind, value, where)  # type: ignore[arg-type]
    if origin is list:
        if not isinstance(value, list):
            raise RecipeError(f"{where} is {value!r}, but a list is wanted.")
        return [_value(inner[0], item, f"{where}.{number}") for number, item in enumerate(value)]
    if origin is dict:
        if not isinstance(value, dict):
            raise RecipeError(f"{where} is {value!r}, but a mapping is wanted.")
        return {key: _value(inner[1], item, f"{where}.{key}") for key, item in value.items()}
    return value if kind is Any else _scalar(kind, value, where)


def _scalar(kind: type, value: Any, where: str) -> Any:
    if kind is float and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-4 as text
        except (TypeError, ValueError):
            pass
    elif isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
    raise RecipeError(f"{where} is {value!r}, but {words.get(kind, kind.__name__)} is wanted.")


def training_fields() -> dict[str, Any]:
    """The fields of `MSERTrainingArguments`, which the section `training` may set.

    Example:
        >>> "learning_rate" in training_fields()
        True
    """
    from .arguments import MSERTrainingArguments

    own = {"output_dir", "objective"}  # keys of the recipe itself
    return {f.name: f for f in fields(MSERTrainingArguments) if f.init and f.name not in own}


_AT_LEAST = {
    "learning_rate": 0.0,
    "weight_decay": 0.0,
    "num_train_epochs": 0.0,
    "warmup_steps": 0.0,
    "max_grad_norm": 0.0,
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "emotions_per_batch": 2,
    "languages_per_batch": 1,
    "length_window": 1,
    "standardize_clips": 0,
    "adaptation_clips": 0,
    "save_total_limit": 1,
    "seed": 0,
}


def _check_training(training: dict[str, Any], where: str) -> None:
    known = training_fields()
    for name, value in training.items():
        if name not in known:
            raise RecipeError(f"{where}: there is no key `{name}`. {nearest(name, known)}")
        if name.endswith("_strategy") and value is False:
            training[name] = value = "no"  # YAML reads a bare `no` as false
        default = known[name].default
        kind = type(default) if isinstance(default, (bool, int, float)) else None
        if kind is int and isinstance(value, float):
            kind = float  # some of Transformers' whole numbers may also be shares
        if name in _AT_LEAST and value is not None and kind is None:
            kind = type(_AT_LEAST[name])
        if kind is not None and value is not None:
            training[name] = value = _scalar(kind, value, f"{where}.{name}")
        if name in _AT_LEAST and value is not None and not value >= _AT_LEAST[name]:
            raise RecipeError(f"{where}.{name} is {value}; it must be at least {_AT_LEAST[name]}.")
