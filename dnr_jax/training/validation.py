"""Scores of a training's states, while it goes on and at its end, and what is told of them.

What it takes is compiled once, the first time that it is wanted.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.evaluation import examples, scores, scoring
from dnr_jax.evaluation.batches import training_shape, views_shape
from dnr_jax.evaluation.results import account, expect_replaceable, kept_for_results, write
from dnr_jax.files import AnyPath
from dnr_jax.runs.agreement import all_or_none
from dnr_jax.runs.guards import Guards
from dnr_jax.runs.reporting import Reporter, place
from dnr_jax.runs.state import TrainState
from dnr_jax.training.parts import Setup


class Scoring:
    """Scores states of a training and reports the scores. What that takes is compiled once, and untimed.

    `best` is the highest top-1 that the training was validated with before, -inf if it was not.
    """

    def __init__(self, config: ConfigDict, setup: Setup, guards: Guards, reporter: Reporter, best: float):
        self._config, self._setup, self._guards, self._reporter = config, setup, guards, reporter
        self._best, self._label_names = best, setup.train.label_names
        self._examples: examples.Examples | None = None  # of validation, once they are shown
        self._programs: dict[tuple[Callable, tuple[int, ...]], Callable] = {}

    def validate(self, state: TrainState) -> dict[str, float | int] | None:
        """The validation scores; None if no label is known."""
        step, setup = int(state.step), self._setup
        predictions = self._predictions(state, 'validation')
        results = account(predictions, self._config, 'validation')
        summary = self._record(step, 'validation', predictions)
        self._reporter.picture(step, 'validation/examples', partial(self._draw_examples, predictions))
        top1 = summary.get('top1', -math.inf)
        is_best, self._best = top1 > self._best, max(top1, self._best)
        where = place(step, setup.total_steps, setup.steps_per_epoch)
        mark = '  new best' if is_best else ''
        self._reporter.line(f'{where}  validation: {scores.in_short(results)}{mark}{scores.notes(results)}')
        return summary if 'top1' in summary else None

    def test(self, state: TrainState, out: AnyPath) -> dict[str, Any]:
        """The test results, written to `out`; ValueError if that holds anything else than an earlier evaluation."""
        step, setup = int(state.step), self._setup
        predictions = self._predictions(state, 'test')
        self._guards.watchdog.rest()
        with kept_for_results(out, patient=True):
            with all_or_none():
                expect_replaceable(out)  # as before the training; another may have put files there meanwhile
            results = write(out, predictions, setup.test, self._config, step, setup.fingerprints)
        self._record(step, 'test', predictions)
        self._reporter.line(scores.to_text('test', results))
        return results

    def _record(self, step: int, section: str, predictions: scoring.Predictions) -> dict[str, float | int]:
        summary = scores.summarize(predictions)
        self._reporter.scalars(step, section, summary)
        if 'top1' in summary:
            draw = partial(scores.confusion_figure, scores.confusion_matrix(predictions), self._label_names, section)
            self._reporter.picture(step, f'{section}/confusion', draw)
        return summary

    def _draw_examples(self, predictions: scoring.Predictions) -> Any:
        if self._examples is None:
            self._examples = examples.read(self._setup.validation, self._config, 'validation')
        return examples.draw(self._examples, predictions, self._label_names, 'validation')

    def _predictions(self, state: TrainState, section: str) -> scoring.Predictions:
        variables = self._as_scored(state.variables)
        return scoring.evaluate(
            self._program(
                self._setup.predict[section], variables, views_shape(self._config, section, self._setup.mesh)
            ),
            variables,
            getattr(self._setup, section),
            self._config,
            section,
            self._setup.mesh,
            before_batch=lambda: self._guards.wait_for(f'a batch to score of {section}'),
        )

    def _as_scored(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """With precise statistics, where the config asks for them."""
        config, setup = self._config, self._setup
        if not setup.observe:
            return variables
        observe = self._program(setup.observe, variables, training_shape(config))
        wait = partial(self._guards.wait_for, 'a batch for precise statistics')
        return scoring.with_precise_statistics(observe, variables, setup.train, config, setup.mesh, wait)

    def _program(self, step: Callable, variables: Mapping[str, Any], clip_shape: tuple[int, ...]) -> Callable:
        """The step compiled for clips of that shape."""
        if (step, clip_shape) not in self._programs:
            self._guards.watchdog.rest()
            self._programs[step, clip_shape] = parallel.compiled(step, variables, clip_shape, self._setup.mesh)
        return self._programs[step, clip_shape]
