"""One call from a protocol and a model to a results folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .files import write_json
from .predictors import PredictorFactory
from .protocols import Protocol
from .results import results_of
from .run import Share, predict
from .tasks import Task

RESULTS = "results.json"


def evaluate(
    protocol: Protocol,
    tasks: Sequence[Task],
    predictor_for: PredictorFactory,
    identity: Mapping[str, Any],
    output: str | Path,
    batch_size: int = 16,
    share: Share | None = None,
    report: bool = True,
    quiet: bool = False,
) -> dict[str, Any] | None:
    """Predict, measure, report; returns the content of `results.json`, or `None` in all but the first process.

    Call it again with the same arguments after an interruption: it goes on where it was, and the files come
    out byte for byte as from an uninterrupted run.

    Example:
        >>> tasks = protocol("whole-corpus").tasks(read_clips("emodb"))  # doctest: +SKIP
        >>> evaluate(protocol("whole-corpus"), tasks, lambda task: model, model.identity, "out")  # doctest: +SKIP
    """
    output = Path(output)
    lines = predict(tasks, predictor_for, output, identity, batch_size, share, quiet)
    if lines is None:
        return None
    results = results_of(lines, tasks, protocol, identity)
    write_json(output / RESULTS, results)
    if report:
        from .report import write_report

        write_report(output, results, lines)
    return results
