"""Two methods side by side, over the same seeds and the same test clips.

seeds    paired t-test over the seeds: would other seeds say the same? With three of them it sees large effects only
clips    paired t-test over the clips, of the mean over seeds of each: would other clips say the same of these seeds?
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats


class Difference(NamedTuple):
    """B less A."""

    mean: float  # of top-1, over pairs
    spread: float  # standard deviation over pairs; NaN for one
    pairs: int  # of runs
    p_seeds: float  # NaN for one pair
    p_clips: float


def bits(hexadecimal: str, count: int) -> np.ndarray:
    """Which of `count` clips are right, bool [N], from a record."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(hexadecimal), np.uint8), count=count).astype(bool)


def compare(a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]], way: str, clips: int) -> Difference:
    """Records of A and of B, by the seeds that both have; ValueError if there is none.

    `way` of scoring; 'running' stands for it where it is no other, see `short_training`.
    """

    def right(record):
        return bits(record['right'].get(way, record['right']['running']), clips)

    of_a, of_b = ({record['seed']: right(record) for record in records} for records in (a, b))
    seeds = sorted(of_a.keys() & of_b.keys())
    if not seeds:
        raise ValueError(
            f'Methods are compared by the seeds of both: expected some, got {list(of_a)} and {list(of_b)}.'
        )
    return summed_up(np.array([of_b[seed].astype(float) - of_a[seed] for seed in seeds]))


def summed_up(better: np.ndarray) -> Difference:
    """The difference of B and A, from how much better B is by seed and clip, [S N] of -1 to 1."""
    of_seeds, of_clips = better.mean(axis=1), better.mean(axis=0)
    return Difference(float(better.mean()), spread(of_seeds), len(better), paired_t(of_seeds), paired_t(of_clips))


def holm(values: Sequence[float]) -> list[float]:
    """p-values of a family of tests, such that one below 0.05 is wrong in 5 % of families at most; NaN is no test.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 1979.
    """
    values = np.array(values, float)
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]
    adjusted = np.full(len(values), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1)), 1)
    return adjusted.tolist()


def certainty(p: float) -> str:
    """'p < 0.001' or 'p = 0.14'."""
    return 'p < 0.001' if p < 0.001 else f'p = {p:.2g}'


def spread(values: np.ndarray) -> float:
    """Standard deviation, unbiased in its square; NaN for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float('nan')


def paired_t(differences: np.ndarray) -> float:
    """Two-sided p of a mean of zero; NaN for a single value, 1 or 0 where all are the same."""
    if len(differences) == 1:
        return float('nan')
    if np.ptp(differences) < 1e-9:
        return float(abs(differences[0]) < 1e-9)
    return float(stats.ttest_1samp(differences, 0).pvalue)
