"""Checkpoints are scored as they come: each once, in order, to the end of a training, whatever is taken away."""

import json
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from dnr_jax.evaluation import watching
from dnr_jax.evaluation.checkpoint_score import Scorer
from dnr_jax.runs import checkpoints
from dnr_jax.runs.state import TrainState

LAST = 40


class Training:
    """A training that does what is written for it, one thing each time that it is waited for."""

    def __init__(self, workdir, plan):
        self.folder, self.plan = workdir / 'checkpoints', list(plan)
        self.waited = 0

    def __call__(self, seconds):
        assert seconds == watching.PAUSE
        self.waited += 1
        self.plan.pop(0)()

    def save(self, *steps, keep=9, last_step=LAST):
        def act():
            with checkpoints.Checkpoints(self.folder, keep) as there:
                for step in steps:
                    count = jnp.int32(step)
                    state = TrainState(count, {'w': jnp.zeros(1)}, {}, {}, opt_state=(), skipped=count, damaged=count)
                    there.save(state, {'last_step': last_step} if last_step else {}, None)

        return act

    def unsealed(self, step):
        return lambda: (self.folder / str(step)).mkdir(parents=True)


@pytest.fixture
def training(tmp_path, monkeypatch):
    training = Training(tmp_path, [])
    monkeypatch.setattr(watching, 'time', SimpleNamespace(sleep=training))
    return training


def coming(training):
    return list(watching.coming(training.folder, training.folder.with_name('.lock')))


def test_every_checkpoint_comes_once_and_in_order(training, capsys):
    training.plan = [training.save(10), training.unsealed(25), training.save(20, 30), training.save(LAST)]
    assert coming(training) == [10, 20, 30, LAST] and training.waited == 4
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(' in ')[0] for line in told] == [
        'waits for the first checkpoint',
        'waits for a checkpoint after step 10 of 40',  # told once, however long it takes
        'waits for a checkpoint after step 30 of 40',
    ]
    assert all('no training is at work there now' in line for line in told)


def test_of_a_finished_training_nothing_is_waited_for(training):
    training.save(30, LAST)()
    assert coming(training) == [30, LAST] and not training.waited


def test_where_the_end_is_not_known_it_waits(training, capsys):
    training.save(10, last_step=None)()
    training.folder.with_name('.lock').touch()
    training.plan = [lambda: (_ for _ in ()).throw(KeyboardInterrupt)]
    with pytest.raises(KeyboardInterrupt):
        coming(training)
    assert capsys.readouterr().out == f'waits for a checkpoint after step 10 in {training.folder}. Ctrl-C ends it\n'


def test_while_it_waits_nothing_is_made(training, tmp_path):
    """Of a work folder that may be another one than was meant."""
    training.plan = [lambda: (_ for _ in ()).throw(KeyboardInterrupt)]
    with pytest.raises(KeyboardInterrupt):
        watching.watch(tmp_path / 'run', lambda config: config)
    assert not (tmp_path / 'run').exists()


class FakeScorer(Scorer):
    """Scores by a table, without a network."""

    top1 = {10: 0.25, 20: 0.75, LAST: 0.5}

    def __init__(self, workdir, adapt, out):
        self.scored = []

    def score(self, which, anew):
        step = int(which)
        if step not in self.top1:
            raise ValueError(f'no {step}')
        coverage = {'scored': 4, 'unlabelled': 0, 'missing': 0}
        return {'step': step, 'top1': self.top1[step], 'mean_class_accuracy': 0.5, 'loss': None, 'videos': 4,
                'coverage': coverage, 'protocol': ''}  # fmt: skip


def test_scores_are_told_and_kept(training, tmp_path, monkeypatch, capsys):
    """Also those of a watch that was stopped and is started again, whose last line was cut off."""
    monkeypatch.setattr(watching, 'Scorer', FakeScorer)
    training.save(10, 20)()
    curves = tmp_path / 'watched'
    curves.mkdir()
    (curves / 'metrics.jsonl').write_text('{"step": 10, "kind": "test", "top1": 0.25}\n{"step": 2')

    def take_away():  # one that no one could score in time
        training.save(30, LAST, keep=2)()

    training.plan = [take_away]
    monkeypatch.setitem(FakeScorer.top1, 30, 0.1)
    watching.watch(tmp_path, lambda config: config)
    lines = [json.loads(line) for line in (curves / 'metrics.jsonl').read_text().splitlines()]
    assert [(line['step'], line['top1']) for line in lines] == [(10, 0.25), (20, 0.75), (30, 0.1), (LAST, 0.5)]
    assert lines[1] == {'step': 20, 'kind': 'test', 'top1': 0.75, 'mean_class_accuracy': 0.5, 'videos': 4}
    told = capsys.readouterr().out
    assert np.array_equal(['new best' in line for line in told.splitlines() if line.startswith('step')], [1, 1, 0, 0])
    assert told.endswith('the training is finished; the best of what was scored is of step 20\n')
    assert list((curves / 'tensorboard').glob('events*'))


def test_a_checkpoint_that_is_gone_is_told_and_another_mistake_is_not_hidden(training, capsys):
    training.save(10)()
    assert watching.score_or_tell(FakeScorer('', None, None), training.folder, 11) is None
    assert 'step     11  was taken away before it could be scored' in capsys.readouterr().out
    with pytest.raises(ValueError, match='no 12'):
        training.save(12)()
        watching.score_or_tell(FakeScorer('', None, None), training.folder, 12)
