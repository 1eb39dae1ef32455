"""How a training goes: the metrics of its steps, its pace, and when it must stop.

Steps run ahead of the host: their metrics are read a few steps late, so that the devices never wait for it.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from typing import Any

import jax
import numpy as np
import optax

from dnr_jax.evaluation.metrics import check_finite
from dnr_jax.runs.reporting import Reporter, as_time, place

STEPS_IN_FLIGHT = 2
NONE = {'steps': 0, 'sums': {}}  # to report


class Progress:
    """Follows the steps of one run; FloatingPointError, naming step and clips, when metrics are no longer finite.

    Attributes:
      schedule: step -> learning rate.
      last_step, steps_per_epoch: of the training. clips_per_step: over all devices.
      max_skipped_steps: how many steps may be left out because they are not finite.
      damaged: records passed over before this run, which are told of already.
      unreported: sums of the metrics since the last report, and of how many steps, which a continued run takes over.
    """

    def __init__(
        self,
        reporter: Reporter,
        schedule: optax.Schedule,
        last_step: int,
        steps_per_epoch: int,
        clips_per_step: int,
        max_skipped_steps: int,
        damaged: int,
        unreported: Mapping[str, Any] | list[dict[str, float]],
    ):
        self._reporter, self._schedule = reporter, schedule
        self._last_step, self._steps_per_epoch, self._clips_per_step = last_step, steps_per_epoch, clips_per_step
        self._max_skipped_steps = max_skipped_steps
        self._in_flight: deque[tuple[int, Mapping[str, jax.Array], np.ndarray]] = deque()
        self._damaged = damaged
        self.unreported = taken_over(unreported)
        self._begin_window()

    def _begin_window(self) -> None:
        self._started, self._waited, self._steps = time.monotonic(), 0.0, 0

    @contextmanager
    def waiting_for_data(self) -> Iterator[None]:
        """Times the wait for a batch, if the devices ran out of work meanwhile."""
        started = time.monotonic()
        yield
        if all(metrics['loss'].is_ready() for _, metrics, _ in self._in_flight):
            self._waited += time.monotonic() - started

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Something else than steps is done: its time does not count for the pace."""
        self.settle()
        started = time.monotonic()
        yield
        self._started += time.monotonic() - started

    def first_step(self, step: int, metrics: Mapping[str, jax.Array], ids: np.ndarray) -> None:
        """Takes the metrics of the first step, whose time is compilation."""
        self._in_flight.append((step, metrics, ids))
        self.settle()
        self._reporter.line(f'compiled, first step done in {as_time(time.monotonic() - self._started)}')
        self._begin_window()

    def step(self, step: int, metrics: Mapping[str, jax.Array], ids: np.ndarray) -> None:
        """Takes the metrics of a step just begun, and waits for an earlier one."""
        self._in_flight.append((step, metrics, ids))
        self._steps += 1
        if len(self._in_flight) > STEPS_IN_FLIGHT:
            self._settle_oldest()

    def settle(self) -> None:
        """Waits for all steps under way."""
        while self._in_flight:
            self._settle_oldest()

    def _settle_oldest(self) -> None:
        step, metrics, ids = self._in_flight.popleft()
        values = {name: float(value) for name, value in jax.device_get(dict(metrics)).items()}
        skipped, damaged = int(values.pop('skipped')), int(values.pop('damaged'))
        if damaged > self._damaged:
            self._reporter.line(f'step {step} has passed over damaged records, {damaged:,} since the beginning')
            self._damaged = damaged
        if all(map(np.isfinite, values.values())):
            self.unreported = added(self.unreported, values)
        elif 0 < skipped <= self._max_skipped_steps:
            self._reporter.line(f'step {step} is not finite and was skipped, {skipped} of {self._max_skipped_steps}')
        else:
            check_finite(values, f'at step {step}, with the clips {", ".join(ids)}')

    def report(self, step: int) -> None:
        """Reports metrics and pace since the last report."""
        self.settle()
        means = {name: total / self.unreported['steps'] for name, total in self.unreported['sums'].items()}
        means = means or {'loss': float('nan'), 'top1': float('nan')}  # where all were skipped
        seconds = time.monotonic() - self._started
        pace = {
            'learning_rate': float(self._schedule(step - 1)),
            'clips_per_second': self._clips_per_step * self._steps / seconds,
            'waiting_share': self._waited / seconds,
        }
        left = (self._last_step - step) * seconds / max(self._steps, 1)
        self._reporter.scalars(step, 'train', means | pace)
        self._reporter.line(
            f'{place(step, self._last_step, self._steps_per_epoch)}  '
            f'loss {means["loss"]:.4f}  top-1 {means["top1"]:6.1%}  lr {pace["learning_rate"]:.5f}  '
            f'{pace["clips_per_second"]:6.1f} clips/s  waiting for data {pace["waiting_share"]:4.0%}  '
            f'left {as_time(left)}'
        )
        self.unreported = NONE
        self._begin_window()


def taken_over(unreported: Mapping[str, Any] | list[dict[str, float]]) -> Mapping[str, Any]:
    """What a checkpoint has of `Progress.unreported`; those of earlier versions have the metrics of every step."""
    return reduce(added, unreported, NONE) if isinstance(unreported, list) else unreported


def added(unreported: Mapping[str, Any], values: Mapping[str, float]) -> dict[str, Any]:
    """With the metrics of one more step; in their order, so that a continued run adds as an uninterrupted one does."""
    sums = {name: unreported['sums'].get(name, 0.0) + value for name, value in values.items()}
    return {'steps': unreported['steps'] + 1, 'sums': sums}
