"""A function compiled for its arguments, and what XLA says of it.

program = Program(step, state, batch, updates=True)
program()          one step
program.cost       seconds to trace and compile, bytes at the peak, FLOPs, bytes accessed
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dnr_jax import parallel
from dnr_jax.models.counting import multiply_adds


class Cost(NamedTuple):
    """What XLA says of a compiled program."""

    trace_seconds: float
    compile_seconds: float
    processor_seconds: float  # of both, over all threads: what remains the same on a machine that does other work too
    peak_bytes: int  # of memory, per device; 0 where XLA does not say
    flops: int  # of convolutions and matrix products as written, per device
    bytes_accessed: float  # as compiled, each operand and result of a fusion counted once; 0 where XLA does not say


class Program:
    """`step(state, batch)`, compiled for these; where it `updates`, its first result is the state of the next call."""

    def __init__(self, step: Callable, state: Any, batch: Any, updates: bool):
        self._state, self._batch, self._updates = state, batch, updates
        started, processor_started = time.perf_counter(), time.process_time()
        program = step.trace(state, batch)
        lowered = program.lower()
        traced = time.perf_counter()
        self._compiled = lowered.compile()
        compiled = time.perf_counter()
        self.cost = Cost(
            traced - started,
            compiled - traced,
            time.process_time() - processor_started,
            parallel.peak_bytes(self._compiled),
            2 * multiply_adds(program),
            (self._compiled.cost_analysis() or {}).get('bytes accessed', 0.0),
        )

    def __call__(self) -> Any:
        result = self._compiled(self._state, self._batch)
        if self._updates:
            self._state, result = result
        return result


def peak_in_use() -> int | None:
    """Bytes at the peak of this process so far, as its first device has counted them; None where it counts none."""
    return (jax.local_devices()[0].memory_stats() or {}).get('peak_bytes_in_use')


def all_finite(tree: Any) -> bool:
    """Whether no number of a result is lost: one that is might be computed at another pace."""
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))
