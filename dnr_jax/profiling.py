"""What running programs take: a trace of a few steps, for TensorBoard or Perfetto, and memory at the peak."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

UNTRACED_STEPS = 2  # the first compiles, the second may still fill queues


def peak_bytes(memory: Any) -> int:
    """Of a compiled program, per device: what it takes, gives and needs between, what is reused counted once.

    `memory` is the program's `memory_analysis()`.
    """
    return (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
        - memory.alias_size_in_bytes
    )


class Profiler:
    """Traces `steps` steps into `folder`, from the third of a run on; 0 traces none.

    Attributes:
      first_step: number of the first step of this run.
    """

    def __init__(self, folder: Path, steps: int, first_step: int):
        self._folder, self._from = folder, first_step + UNTRACED_STEPS
        self._to = self._from + steps
        self._tracing = False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._stop()

    def before(self, step: int, settle: Callable[[], None]) -> None:
        """Starts or ends the trace, if this step is the one for it; `settle` waits for the steps under way."""
        if step == self._from < self._to:
            settle()
            jax.profiler.start_trace(str(self._folder))
            self._tracing = True
        elif step == self._to and self._tracing:
            settle()
            self._stop()

    def _stop(self) -> None:
        if self._tracing:
            jax.profiler.stop_trace()
            self._tracing = False
