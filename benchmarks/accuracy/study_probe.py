"""The linear probe with the study's own device: each training clip standardised as one of three domains.

It reads the same statistics as the connector's tokens, so it tells what Q-Former and LLM add to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pooled_probe import fit
from study_features import LAYERS, Heard
from study_runs import DOMAINS, Table, save_scores
from study_training import PROBE_BATCH, PROBE_DOMAINS, PROBE_STEPS

READ = (1, 2, 3)


@dataclass
class ProbeRun:
    """The clips that teach the probe, those that it answers, and where its scores are kept."""

    path: Path
    taught: np.ndarray
    tested: np.ndarray
    seed: int

    def scores(self, heard: Heard, table: Table, backbones: Any = None) -> None:
        """Compute what is not there."""
        clean = heard.versions["clean"]
        columns = [LAYERS.index(layer) for layer in READ]
        values = torch.stack([clean.means[:, columns], clean.stds[:, columns]], 2).flatten(1)
        allowed = np.isin(np.arange(len(values)), self.taught)
        probe, world = fit(
            values,
            table.corpus,
            table.speaker,
            table.emotion,
            allowed,
            PROBE_DOMAINS,
            self.seed,
            PROBE_STEPS,
            PROBE_BATCH,
        )
        kept: dict[str, Any] = {"clips": self.tested}
        for domain in DOMAINS:
            scores = np.zeros((len(self.tested), probe.out_features), np.float32)
            for corpus in np.unique(table.corpus[self.tested]):
                rows = np.flatnonzero(table.corpus[self.tested] == corpus)
                own = values[torch.from_numpy(self.tested[rows])]
                mean, std = (own.mean(0), own.std(0, correction=0) + 1e-5) if domain == "corpus" else world
                with torch.no_grad():
                    scores[rows] = probe((own - mean) / std).log_softmax(1).numpy()
            kept[f"{domain}_scores"] = scores
        save_scores(self.path, kept)
