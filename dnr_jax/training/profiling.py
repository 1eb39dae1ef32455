"""A trace of a few steps of a run, for TensorBoard or Perfetto."""

from collections.abc import Callable

import jax

from dnr_jax.files import AnyPath, Mirror

UNTRACED_STEPS = 2  # the first compiles, the second may still fill queues


class Profiler:
    """Traces `steps` steps into `folder`, from the third of a run on; 0 traces none.

    Attributes:
      first_step: number of the first step of this run.
    """

    def __init__(self, folder: AnyPath, steps: int, first_step: int):
        self._folder, self._from = folder, first_step + UNTRACED_STEPS
        self._to = self._from + steps
        self._tracing = False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._stop()

    def before(self, step: int, settle: Callable[[], None]) -> None:
        """Starts or ends the trace, if this step is the one for it; `settle` waits for the steps under way."""
        if self._tracing:
            if step >= self._to:
                settle()
                self._stop()
        elif self._from <= step < self._to:
            settle()
            self._mirror = Mirror(self._folder)
            jax.profiler.start_trace(str(self._mirror.root))
            self._tracing = True

    def _stop(self) -> None:
        if self._tracing:
            jax.profiler.stop_trace()
            self._mirror.close()
            self._tracing = False
