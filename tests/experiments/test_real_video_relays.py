"""What is asked of the relays of networks on real video, and what is recorded of the answers."""

import json

import numpy as np
import pytest

from dnr_jax.evaluation import predictions
from experiments import real_video_relays
from experiments.pairs import bits
from experiments.real_video import METHODS, Run, folder_of, key
from experiments.real_video_relays import METHOD, QUESTIONS, answers, ask, kept

RUN = Run('resnet18', METHOD, 16, 'cut', 0.1, 0)
COST = {
    'layers': 'norm2$', 'ablated': 8, 'ablation': 'mean_per_hop', 'top1': 0.45, 'cost': 0.05, 'low': 0.01, 'high': 0.09,
    'changed': 0.2,
}  # fmt: skip


@pytest.fixture
def workdir(tmp_path):
    """A network that all questions were asked of."""
    of_clock = tmp_path / 'study/clock/test'
    of_clock.mkdir(parents=True)
    logits = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    stored = predictions.Stored(np.array(['c', 'a', 'b']), np.array([0, 1, 1]), logits, np.array(['x', 'y']), '')
    np.savez(of_clock / predictions.FILE, **stored._asdict())
    relays = {
        'stage1': {'over': 'layers', 'memory': [1.0, 0.5]},
        'stage1/block1/norm2': {'over': 'frames', 'memory': [1.0, 0.25]},
    }
    for name, told in {
        'clock/test/results': {'step': 0, 'top1': 2 / 3, 'mean_class_accuracy': 0.75},
        'ablate': {'clips': 3, 'top1': 0.5, 'costs': [COST]},
        'influence': {'clips': 3, 'relays': relays},
        'order': {'networks': [{'clips': 3, 'top1': 0.5, 'top1_reversed': 0.125, 'agreement': 0.25}]},
    }.items():
        (tmp_path / f'study/{name}.json').write_text(json.dumps(told))
    return tmp_path


def test_what_is_recorded(workdir):
    found = answers(workdir / 'study')
    clock = found.pop('clock')
    assert (clock['top1'], clock['mean_class']) == (0.6667, 0.75)
    assert bits(clock['right'], 3).tolist() == [True, False, True]  # a, b, c
    assert found == {
        'top1': 0.5, 'costs': [COST], 'memory': {'stage1/block1/norm2': [1.0, 0.25]},
        'order': {'top1_reversed': 0.125, 'agreement': 0.25},
    }  # fmt: skip


def test_answers_leave_a_record_its_run(workdir):
    assert key(RUN._asdict() | answers(workdir / 'study')) == RUN


def test_every_question_is_asked_and_the_clock_is_scored(workdir, monkeypatch):
    asked = []
    monkeypatch.setattr(real_video_relays, 'run', lambda *command: asked.append(command))
    assert ask(workdir) == answers(workdir / 'study')
    assert [command[2] for command in asked[:-1]] == list(QUESTIONS)
    assert all(f'--workdir={workdir}' in command for command in asked[:-1])
    assert asked[-1] == ('eval.py', f'--workdir={workdir}/study/clock')


def test_asked_are_finished_networks_with_relays_whose_checkpoints_were_kept(tmp_path):
    """Of whatever records: a folder says which run it is of."""
    moved = Run('tsm_resnet18', METHOD, 2, 'moved', 0.05, 12)
    gone, unfinished = RUN._replace(seed=1), RUN._replace(seed=2)
    for of in (RUN, moved, gone, *(RUN._replace(method=method) for method in METHODS if method != METHOD)):
        (tmp_path / folder_of(of) / 'test').mkdir(parents=True)
        (tmp_path / folder_of(of) / 'test/results.json').write_text('{}')
        if of != gone:
            (tmp_path / folder_of(of) / 'checkpoints').mkdir()
    (tmp_path / folder_of(unfinished) / 'checkpoints').mkdir(parents=True)
    assert kept(tmp_path) == {of: tmp_path / folder_of(of) for of in (RUN, moved)}
    with pytest.raises(ValueError, match='Expected finished networks of dnr with checkpoints in .*--keep'):
        kept(tmp_path / 'nowhere')
