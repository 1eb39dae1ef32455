"""Two methods side by side, over the same seeds and the same test clips.

seeds    paired t-test over the seeds: would other seeds say the same? With three of them it sees large effects only
clips    exact McNemar test over the clips of all seeds: b that A alone gets right, c that B alone does. It takes
         clips of different seeds as independent and these seeds as given
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from dnr_jax.compare.comparison import mcnemar


class Difference(NamedTuple):
    """B less A."""

    mean: float  # of top-1, over pairs
    spread: float  # standard deviation over pairs; NaN for one
    pairs: int  # of runs
    p_seeds: float  # NaN for one pair
    only_a: int
    only_b: int
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
    right_a, right_b = (np.array([of[seed] for seed in seeds]) for of in (of_a, of_b))
    differences = right_b.mean(axis=1) - right_a.mean(axis=1)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return Difference(
        float(differences.mean()),
        spread(differences),
        len(seeds),
        paired_t(differences),
        only_a,
        only_b,
        mcnemar(only_a, only_b),
    )


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
