"""The same stages on Ray Data: every unit of work goes to an actor that holds a translator, on any machine.

Ray places the actors, feeds them, and starts them again where a machine is lost; journal and resuming are those of
`build`. All machines must see the output folder (and the sources) under the same path.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .build import Settings, Worker
from .stages import Unit


class RayWorker:
    """A `Worker` as Ray Data wants it: a row comes in, a row goes out."""

    def __init__(self, folder: str, settings: bytes, gpu: bool) -> None:
        self.work = Worker(Path(folder), pickle.loads(settings), "cuda:0" if gpu else None)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Do one unit; its shards and its journal entry are written where the work is done."""
        unit: Unit = pickle.loads(row["unit"])
        self.work(unit)
        return {"sources": len(unit.sources)}


def run_on_ray(units: Sequence[Unit], output: Path, settings: Settings, workers: int | None, gpus: bool) -> None:
    """Do the units on a Ray cluster: the one of `RAY_ADDRESS`, one that is connected, or this machine.

    Args:
        units: Those that are left.
        output, settings: As in `build`.
        workers: Actors (default: one for each GPU of the cluster, or for each core).
        gpus: Give every actor a GPU of its own.
    """
    if not units:
        return
    import ray
    from tqdm import tqdm

    started = not ray.is_initialized()
    if started:
        ray.init(include_dashboard=False, log_to_driver=False)
    try:
        resources = ray.cluster_resources()
        count = workers or int(resources.get("GPU" if gpus else "CPU", 1)) or 1
        rows = ray.data.from_items([{"unit": pickle.dumps(unit)} for unit in units], override_num_blocks=len(units))
        done = rows.map(
            RayWorker,
            fn_constructor_args=(str(output), pickle.dumps(settings), gpus),
            concurrency=min(count, len(units)),
            num_cpus=1,
            num_gpus=1 if gpus else None,
        )
        with tqdm(total=sum(len(unit.sources) for unit in units), unit="source", file=sys.stderr) as bar:
            for row in done.iter_rows():
                bar.update(row["sources"])
    finally:
        if started:
            ray.shutdown()
