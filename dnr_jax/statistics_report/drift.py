"""How far running averages are from precise statistics, and the hops of a relay from each other.

Averaged over channels; hops are frame groups:

    drift    |mean - mean_precise| / sqrt(var_precise)        |log(var / var_precise)|
    spread   std over hops of mean / sqrt(var)                std over hops of log var

Axes: G frame groups, C channels.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict

from dnr_jax.evaluation.precise_statistics import as_running
from dnr_jax.runs.transfer import in_order


class Layer(NamedTuple):
    """Drift and spread of one layer; no spread where it has one hop."""

    name: str
    hops: int
    pairs: int  # of running averages: one for all hops, or one for each
    drift_mean: float
    drift_var: float
    spread_mean: float | None
    spread_var: float | None

    @property
    def harm(self) -> float:
        """The largest deviation that evaluation sees: the spread counts where the hops share a running pair."""
        shared = (self.spread_mean, self.spread_var) if self.pairs < self.hops else ()
        return max(self.drift_mean, self.drift_var, *shared)


def compare(running: Mapping[str, Any], per_group: Mapping[str, Any], epsilon: float) -> list[Layer]:
    """Drift and spread of every layer, in the order of the network.

    `running` is a tree of `batch_stats`, `per_group` its precise statistics [G C], `epsilon` what norms add to var.
    """
    running, per_group = flatten_dict(running, sep='/'), flatten_dict(per_group, sep='/')
    paths = [path.removesuffix('/mean') for path in running if path.endswith('/mean')]
    return [
        measure(path.removesuffix('/statistics'), *(
            tree[f'{path}/{moment}'] for tree in (running, per_group) for moment in ('mean', 'var')
        ), epsilon)
        for path in in_order(paths)
    ]  # fmt: skip


def measure(
    name: str, mean: np.ndarray, var: np.ndarray, group_mean: np.ndarray, group_var: np.ndarray, epsilon: float
) -> Layer:
    """Drift and spread of one layer, from its running averages, [C] or [G C], and its precise statistics, [G C]."""
    precise_mean, precise_var = as_running((group_mean, group_var), (mean, var))
    deviation = np.sqrt(precise_var + epsilon)
    spread = (None, None)
    if len(group_mean) > 1:
        own = group_mean.std(axis=0) / np.sqrt(group_var.mean(axis=0) + epsilon)
        spread = float(own.mean()), float(np.log(group_var + epsilon).std(axis=0).mean())
    return Layer(
        name,
        len(group_mean),
        1 if mean.ndim == 1 else len(mean),
        float((np.abs(mean - precise_mean) / deviation).mean()),
        float(np.abs(np.log((var + epsilon) / (precise_var + epsilon))).mean()),
        *spread,
    )
