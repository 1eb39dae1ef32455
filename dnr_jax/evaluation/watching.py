"""Scores of every checkpoint while a training goes on: a process of its own, beside it, by the test protocol.

    WORKDIR/test-step=N/                     results of each, as eval.py writes them
    WORKDIR/watched/metrics.jsonl, tensorboard/    a line and a point of each

Only checkpoints that are sealed count, in the order of their steps. One that the training takes away before its turn is
told; one that is scored already is passed over. The end comes with the last checkpoint of the training.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.command.terminal import tell
from dnr_jax.evaluation import scores
from dnr_jax.evaluation.checkpoint_score import Scorer
from dnr_jax.files import AnyPath, as_path
from dnr_jax.runs import checkpoints
from dnr_jax.runs.reporting import Reporter, recorded

PAUSE = 2.0  # seconds between two looks at a folder
FOLDER = 'watched'  # of a work folder
IN_SCORES = ('top1', 'top5', 'mean_class_accuracy', 'loss', 'videos')  # of results, those that are numbers


def watch(workdir: str | AnyPath, adapt: Callable[[ConfigDict], ConfigDict]) -> None:
    """Scores the checkpoints of a work folder, those that are there and those to come, to the end of the training.

    `adapt` see `trained_model.load`. Raises ValueError as `Scorer.score` does, but not for a checkpoint that is gone.
    """
    workdir = as_path(workdir)
    scorer = Scorer(workdir, adapt, out=None)
    tell(f'scores the checkpoints of {workdir}; results go to {workdir}/test-step=N, curves to {workdir}/{FOLDER}')
    with ExitStack() as stack:
        reporter = best = None
        for step in coming(workdir / 'checkpoints', workdir / '.lock'):
            reporter = reporter or stack.enter_context(reporter_of(workdir / FOLDER))
            results = score_or_tell(scorer, workdir / 'checkpoints', step)
            if results is None:
                continue
            values = {name: results[name] for name in IN_SCORES if results.get(name) is not None}
            if step not in recorded(workdir / FOLDER):
                reporter.scalars(step, 'test', values)
            is_best = best is None or values.get('top1', 0) > best[0]
            best = (values.get('top1', 0), step) if is_best else best
            mark = '  new best' if is_best and 'top1' in values else ''
            tell(f'step {step:>6}  {scores.in_short(results)}{mark}{scores.notes(results)}')
        if best:
            tell(f'the training is finished; the best of what was scored is of step {best[1]:,}')


def reporter_of(folder: AnyPath) -> Reporter:
    """Goes on with the curves in a folder; made once there is something to tell, for a folder may be named wrongly."""
    return Reporter(folder, max(recorded(folder), default=0), writes=parallel.is_leader())


def score_or_tell(scorer: Scorer, folder: AnyPath, step: int) -> dict[str, Any] | None:
    """The results of a checkpoint, as they are written already or are now; None for one that was taken away."""
    try:
        return scorer.score(str(step), anew=False)
    except ValueError:
        if step in checkpoints.sealed(folder):
            raise
        tell(f'step {step:>6}  was taken away before it could be scored: raise config.run.keep of the training')
        return None


def coming(folder: AnyPath, lock: AnyPath) -> Iterator[int]:
    """The steps of sealed checkpoints in order, each as soon as it is there, until that of the last step.

    What is waited for is told, and whether a training holds the work folder.
    """
    done, told = -1, None
    while True:
        steps = [step for step in checkpoints.sealed(folder) if step > done]
        if steps:
            done = steps[0]
            yield done
            continue
        if told != done:
            last = checkpoints.last_step(folder, done) if done >= 0 else None
            if last is not None and done >= last:
                return
            tell(waits_for(folder, lock, done, last))
            told = done
        time.sleep(PAUSE)


def waits_for(folder: AnyPath, lock: AnyPath, done: int, last: int | None) -> str:
    """What is waited for, in a line."""
    after = 'the first checkpoint' if done < 0 else f'a checkpoint after step {done:,}'
    of = f' of {last:,}' if last else ''
    asleep = '' if lock.exists() else '; no training is at work there now'
    return f'waits for {after}{of} in {folder}{asleep}. Ctrl-C ends it'
