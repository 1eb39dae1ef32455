"""Training from a config and a work folder: everything is checked first, then one loop over steps.

    WORKDIR/config.json        what this folder trains; another config is refused
    WORKDIR/checkpoints/STEP   see `checkpoints`; a run that is started again goes on from the newest
    WORKDIR/metrics.jsonl, tensorboard/
    WORKDIR/test/              the final score, see `dnr_jax.evaluation`

The position in the data follows from the step, so a continued run sees the clips it would have seen, and ends, bit for
bit, where an uninterrupted one would.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.command.signals import Stopped
from dnr_jax.evaluation.batches import training_batches
from dnr_jax.evaluation.results import expect_replaceable
from dnr_jax.files import AnyPath, absolute, as_path
from dnr_jax.runs.agreement import all_or_none, expect_alike
from dnr_jax.runs.checkpoints import Checkpoints
from dnr_jax.runs.guards import Guards
from dnr_jax.runs.identity import code_version
from dnr_jax.runs.ownership import (
    as_json,
    begun,
    claimed,
    expect_no_other,
    expect_same_state,
    expect_same_videos,
    expect_shared,
    expect_steps_left,
    kept,
)
from dnr_jax.runs.reporting import Reporter
from dnr_jax.runs.state import TrainState
from dnr_jax.runs.stopping import StopRequest
from dnr_jax.runs.stored import Checkpoint, expect_described
from dnr_jax.runs.watchdog import Watchdog
from dnr_jax.training import initial_weights
from dnr_jax.training.choices import resolved
from dnr_jax.training.introduction import conclude, introduce
from dnr_jax.training.parts import Setup
from dnr_jax.training.profiling import Profiler
from dnr_jax.training.progress import Progress
from dnr_jax.training.setup import prepare
from dnr_jax.training.validation import Scoring


def train_and_evaluate(config: ConfigDict, workdir: str | AnyPath, allow_change: Sequence[str] = ()) -> dict[str, Any]:
    """Trains to the last step, going on from the newest checkpoint of `workdir`; returns the test results.

    `allow_change` names keys of the config that may differ from the one the folder was begun with.

    Raises ValueError for what does not fit together in the config, before anything is compiled or written;
    FloatingPointError when the loss is no longer finite; CheckpointError when a checkpoint could not be written, and
    ReportError when metrics could not; and Stopped when the process was asked to stop (SIGTERM), after it has saved.
    """
    workdir = as_path(workdir)
    with ExitStack() as stack:
        guards = Guards(stack.enter_context(StopRequest()), stack.enter_context(Watchdog(config.run.watchdog_seconds)))
        with all_or_none():
            config, chosen = resolved(config, parallel.make_mesh(), begun(workdir))
        expect_alike({'config': as_json(config), 'workdir': str(absolute(workdir)), 'code': code_version()})
        with all_or_none():
            setup = prepare(config)
            expect_replaceable(workdir / 'test')
            expect_no_other(workdir)
            if config.init_from and not (workdir / 'config.json').exists():
                initial_weights.of_config(config, setup)  # what does not fit is refused before the folder is claimed
        expect_alike({'videos': setup.fingerprints})
        lock, what = workdir / '.lock', f'The work folder {workdir}'
        stack.enter_context(kept(lock, what))
        expect_shared(lock, what)
        with claimed(workdir, config, allow_change):
            checkpoints = stack.enter_context(Checkpoints(workdir / 'checkpoints', config.run.keep))
            newest = checkpoints.latest
            expect_alike({'step of the newest checkpoint': newest and newest.step})
            if newest:
                expect_described(newest)
                expect_steps_left(newest.step, setup.total_steps, config)
                expect_same_videos(newest.about['fingerprints'], setup.train, allow_change)
                expect_same_state(checkpoints.unlike(newest.step, setup.shapes()), newest.about['config'], config)
            weights = initial_weights.of_config(config, setup) if config.init_from and newest is None else None
            expect_alike({'arrays of config.init_from': weights and weights.fingerprint})
            state = start(setup, config.seed, checkpoints, newest, weights)
        reporter = stack.enter_context(Reporter(workdir, int(state.step), writes=parallel.is_leader()))
        reporter.line('\n'.join([*chosen, introduce(config, setup, int(state.step))]))
        reporter.config(int(state.step), config)
        if weights:
            reporter.line(weights.told)
        best = checkpoints.best
        scoring = Scoring(config, setup, guards, reporter, best.metrics['top1'] if best else -math.inf)
        profiler = Profiler(workdir / 'profile', config.run.profile_steps, int(state.step) + 1)
        training = Training(config, setup, state, checkpoints, newest, scoring, guards, reporter, profiler)
        results = scoring.test(training.run(), workdir / 'test')
        reporter.outcome(
            config, [f'{section}/{score}' for section in ('test', 'validation') for score in ('top1', 'loss')]
        )
        checkpoints.wait()
        reporter.line(conclude(workdir, results['step'], checkpoints.best))
        return results


def start(
    setup: Setup,
    seed: int,
    checkpoints: Checkpoints,
    newest: Checkpoint | None,
    weights: initial_weights.Initial | None,
) -> TrainState:
    """The newest checkpoint's state, or a fresh one with those weights, on all devices."""
    if newest is not None:
        return checkpoints.restore(newest.step, parallel.abstract(setup.shapes(), parallel.replicated(setup.mesh)))
    fresh = setup.fresh(seed)
    return weights.into(fresh) if weights else fresh


class Training:
    """The loop over steps, with what is due between them.

    Attributes:
      state: after the newest step. saved_step: of the newest checkpoint, None if there is none.
    """

    def __init__(
        self,
        config: ConfigDict,
        setup: Setup,
        state: TrainState,
        checkpoints: Checkpoints,
        newest: Checkpoint | None,
        scoring: Scoring,
        guards: Guards,
        reporter: Reporter,
        profiler: Profiler,
    ):
        self.state, self.saved_step = state, newest and newest.step
        self._config, self._setup, self._checkpoints = config, setup, checkpoints
        self._scoring, self._guards, self._newest = scoring, guards, newest
        self._profiler = profiler
        self._reporter = reporter
        self._progress = Progress(
            reporter,
            setup.schedule,
            setup.total_steps,
            setup.steps_per_epoch,
            config.train.batch_size,
            config.train.max_skipped_steps,
            damaged=int(state.damaged),
            unreported=newest.about['unreported'] if newest else [],
        )

    def run(self) -> TrainState:
        """All steps that are left; returns the last state. Raises Stopped, after it has saved, when asked to stop."""
        first = int(self.state.step)
        try:
            if self._newest and self._newest.metrics is None and self._validation_is_due(first):
                self._save(with_scores=True)  # the run was stopped while it validated
                self._checkpoints.wait()  # it takes the place of the newest one, and the first step may end the process
            with (
                closing(training_batches(self._config, self._setup.train, self._setup.mesh, first)) as batches,
                self._profiler,
            ):
                placed = parallel.place_ahead(batches, self._setup.mesh, self._config.run.prefetch)
                for step in range(first + 1, self._setup.total_steps + 1):
                    self._guards.wait_for(f'the batch of step {step}')
                    self._checkpoints.check()
                    with self._progress.waiting_for_data():
                        batch, ids = next(placed)
                    if step == first + 1:
                        self._first_step(step, batch, ids)
                    elif step == self._setup.moving_steps + 1:
                        self._first_frozen_step(step, batch, ids)
                    else:
                        self._step(step, batch, ids)
                    self._do_what_is_due(step)
        except Stopped:
            if int(self.state.step) not in (0, self.saved_step):
                self._save(with_scores=False)
            raise
        return self.state

    def _first_step(self, step: int, batch: dict[str, jax.Array], ids: np.ndarray) -> None:
        """The step that compiles, untimed."""
        self._guards.watchdog.rest()
        self.state, metrics = self._setup.step_at(step)(self.state, batch)
        self._progress.first_step(step, metrics, ids)
        self._guards.stop.at_safe_places_only()

    def _first_frozen_step(self, step: int, batch: dict[str, jax.Array], ids: np.ndarray) -> None:
        """Likewise, in the middle of a run."""
        self._guards.watchdog.rest()
        self._profiler.before(step, self._progress.settle)
        with self._progress.pause():
            self.state, metrics = self._setup.step_at(step)(self.state, batch)
        self._reporter.line(f'from step {step} on norms standardize by their running averages, which stand still')
        self._progress.step(step, metrics, ids)

    def _step(self, step: int, batch: dict[str, jax.Array], ids: np.ndarray) -> None:
        self._guards.watchdog.expect(f'step {step}')
        self._profiler.before(step, self._progress.settle)
        self.state, metrics = self._setup.step_at(step)(self.state, batch)
        self._progress.step(step, metrics, ids)

    def _do_what_is_due(self, step: int) -> None:
        run, last = self._config.run, self._setup.total_steps
        if due(step, run.log_every_steps, last):
            self._progress.report(step)
        if self._validation_is_due(step):
            self._save(with_scores=True)
        elif due(step, run.checkpoint_every_steps, last):
            self._save(with_scores=False)

    def _validation_is_due(self, step: int) -> bool:
        return due(step, self._config.run.validate_every_epochs * self._setup.steps_per_epoch, self._setup.total_steps)

    def _save(self, with_scores: bool) -> None:
        with self._progress.pause():
            scores = self._scoring.validate(self.state) if with_scores else None
            self._guards.watchdog.rest()
            about = {
                'config': self._config.to_dict(),
                'label_names': self._setup.train.label_names,
                'fingerprints': self._setup.fingerprints,
                'clips_per_statistic': self._setup.clips_per_statistic,
                'unreported': self._progress.unreported,
                'last_step': self._setup.total_steps,
            }
            self._reporter.flush()
            self._checkpoints.save(self.state, about, scores)
            self.saved_step = int(self.state.step)


def due(step: int, every: int, last: int) -> bool:
    """Whether something done at the last step, and every so many steps if that is not 0, is due after this one."""
    return step == last or (every > 0 and step % every == 0)
