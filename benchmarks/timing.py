"""Programs timed in turns, so that what slows the machine slows them alike; ratios are taken within each round.

times = alternate({'dnr': run_dnr, 'batch': run_batch}, rounds=15, repeats=1)      seconds by name, one a round
spread(times['dnr'] / times['batch'])                                              median and quartiles
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

WARM_UP = 2  # rounds that are not counted


def alternate(runs: Mapping[str, Callable[[], Any]], rounds: int, repeats: int) -> dict[str, np.ndarray]:
    """Seconds of one run in each round, by name; a turn is `repeats` runs, waited for together."""
    times = {name: [] for name in runs}
    for _ in range(rounds + WARM_UP):
        for name, run in runs.items():
            started = time.perf_counter()
            for _ in range(repeats):
                result = run()
            jax.block_until_ready(result)
            times[name].append((time.perf_counter() - started) / repeats)
    return {name: np.array(seconds[WARM_UP:]) for name, seconds in times.items()}


def spread(values: np.ndarray) -> dict[str, float]:
    """Median and quartiles, as a record has them."""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    return {'median': float(median), 'low': float(low), 'high': float(high)}
