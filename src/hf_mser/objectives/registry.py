"""Objectives by name, as recipes write them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from .base import Objective, ObjectiveError, WeightedSum

_OBJECTIVES: dict[str, type[Objective]] = {}
ObjectiveClass = TypeVar("ObjectiveClass", bound=type[Objective])


def register(name: str) -> Callable[[ObjectiveClass], ObjectiveClass]:
    """Make an objective known to recipes under a name.

    Example:
        >>> @register("example_zero")
        ... class Zero(Objective):
        ...     pass
        >>> "example_zero" in names()
        True
    """

    def remember(objective: ObjectiveClass) -> ObjectiveClass:
        known = _OBJECTIVES.get(name)
        if known is not None and known.__qualname__ != objective.__qualname__:
            raise ObjectiveError(f"Two objectives are called {name!r}: {known} and {objective}. Rename one.")
        _OBJECTIVES[name] = objective
        return objective

    return remember


def names() -> list[str]:
    """The names that a recipe may use.

    Example:
        >>> "contrastive" in names()
        True
    """
    return sorted(_OBJECTIVES)


def build(terms: Iterable[Mapping[str, Any]]) -> Objective:
    """The objective that a recipe describes: a list of `{name, weight, **hyper-parameters}`.

    Example:
        >>> build([{"name": "contrastive", "margin": 0.1}, {"name": "cross_entropy", "weight": 0.5}]).weights
        [1.0, 0.5]
    """
    return WeightedSum([_term(dict(entry)) for entry in terms])


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: the nearest known one, or all of them.

    Example:
        >>> nearest("contrastiv", ["contrastive", "cross_entropy"])
        "Did you mean 'contrastive'?"
    """
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."


def _term(entry: dict[str, Any]) -> tuple[float, Objective]:
    name = entry.pop("name", None)
    if name is None:
        raise ObjectiveError(f"An entry of the objective has no name: {entry}. Known: {', '.join(names())}.")
    if name not in _OBJECTIVES:
        raise ObjectiveError(f"There is no objective {name!r}. {nearest(name, names())}")
    weight = entry.pop("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)):
        raise ObjectiveError(f"{name}: the weight is {weight!r}, but it must be a number.")
    accepted = [p for p in inspect.signature(_OBJECTIVES[name].__init__).parameters if p != "self"]
    for key in entry:
        if key not in accepted:
            raise ObjectiveError(f"{name} has no hyper-parameter {key!r}. {nearest(key, [*accepted, 'weight'])}")
    try:
        return float(weight), _OBJECTIVES[name](**entry)
    except TypeError as error:  # a string where a number belongs, a required hyper-parameter that is missing
        raise ObjectiveError(f"{name}: {error}. Its hyper-parameters: {', '.join(accepted)}.") from error
