"""The linear probe with the study's own device: each training clip standardised as one of three domains.

It reads the same statistics as the connector's tokens, so it tells what Q-Former and LLM add to them. Its readings are
also what the package's adaptation works on (`hf_mser.adapted_answers`).
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
from torch import Tensor, nn

from hf_mser.adapted_answers import find_labels
from hf_mser.label_clouds import LabelClouds
from hf_mser.training.adaptable.speaker_traits import TraitsRecipe, speaker_traits

READ = (1, 2, 3, 4)


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
                scores[rows] = _read(probe, own, None if domain == "corpus" else world).log_softmax(1).numpy()
            kept[f"{domain}_scores"] = scores
        kept["clouds_scores"] = self._clouds(probe, values, table)
        save_scores(self.path, kept)

    def _clouds(self, probe: nn.Linear, values: Tensor, table: Table) -> np.ndarray:
        """What adaptation adds to the answers, once it has found each corpus' clouds and speakers."""
        corpora = [self.taught[table.corpus[self.taught] == name] for name in np.unique(table.corpus[self.taught])]
        readings = torch.cat([_read(probe, values[torch.from_numpy(own)]) for own in corpora])
        emotions = torch.from_numpy(table.emotion[np.concatenate(corpora)])
        clouds = LabelClouds.of(readings[emotions >= 0], emotions[emotions >= 0])
        columns = [table.corpus[self.taught], table.speaker[self.taught], table.emotion[self.taught]]
        weights = speaker_traits(TraitsRecipe(), values[torch.from_numpy(self.taught)], *columns)
        added = np.zeros((len(self.tested), probe.out_features), np.float32)
        for corpus in np.unique(table.corpus[self.tested]):
            rows = np.flatnonzero(table.corpus[self.tested] == corpus)
            own = values[torch.from_numpy(self.tested[rows])]
            standardized, traits = _standardized(own), own @ weights.T
            readings = probe(standardized).detach()
            found = find_labels(clouds, standardized, readings, traits)
            added[rows] = found.added(standardized, readings, traits).log_softmax(1).numpy()
        return added


@torch.no_grad()
def _read(probe: nn.Linear, values: Tensor, domain: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """What the probe says of clips, against a domain or against what is ordinary among them."""
    return probe(_standardized(values, domain))


def _standardized(values: Tensor, domain: tuple[Tensor, Tensor] | None = None) -> Tensor:
    mean, std = domain or (values.mean(0), values.std(0, correction=0) + 1e-5)
    return (values - mean) / std
