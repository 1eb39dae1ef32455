"""The plan of the trainings on real video, and what is recorded of one."""

import json
from pathlib import Path

import numpy as np
import pytest

from configs import grid_words
from dnr_jax.evaluation import predictions
from dnr_jax.norms.words import norm_slots
from experiments import real_video
from experiments.pairs import bits
from experiments.real_video import (
    METHODS,
    PAGE,
    TIMINGS,
    Part,
    Run,
    by_sets,
    command_of,
    counted,
    plan,
    same_test,
    scores,
)


def test_methods_are_norms_of_basic_blocks():
    assert all(len(norm_slots(norms, 2)) == 2 for norms in METHODS.values())
    assert grid_words.get_config().data.name == f'videos/{TIMINGS["cut"]}-jpeg54'


def test_a_plan_is_seed_by_seed_and_each_run_once():
    runs = plan([Part(('batch', 'dnr'), seeds=2, clips=(2, 16)), Part(('dnr',), seeds=1)])
    assert len(runs) == len(set(runs)) == 8 and [run.seed for run in runs] == [0] * 4 + [1] * 4
    assert plan(PAGE)
    with pytest.raises(ValueError, match="'dnrr'.*Did you mean 'dnr'"):
        plan([Part(('dnrr',), seeds=1)])
    with pytest.raises(ValueError, match="Unknown timing 'fast'"):
        plan([Part(('dnr',), seeds=1, timings=('fast',))])
    with pytest.raises(ValueError, match="Unknown backbone 'resnet8'"):
        plan([Part(('dnr',), seeds=1, backbones=('resnet8',))])


def test_a_run_says_all_that_it_is(tmp_path):
    """What a command is given is what tells runs apart."""
    run = Run('resnet18', 'dnr', 16, 'cut', 0.1, 0)
    others = [('tsm_resnet18', 'dnr', 16, 'cut', 0.1, 0), ('resnet18', 'batch', 16, 'cut', 0.1, 0),
              ('resnet18', 'group', 16, 'cut', 0.1, 0), ('resnet18', 'group, weights standardized', 16, 'cut', 0.1, 0),
              ('resnet18', 'dnr', 2, 'cut', 0.1, 0), ('resnet18', 'dnr', 16, 'moved', 0.1, 0),
              ('resnet18', 'dnr', 16, 'cut', 0.2, 0), ('resnet18', 'dnr', 16, 'cut', 0.1, 1)]  # fmt: skip
    commands = {tuple(command_of(Run(*of), tmp_path, 'data')) for of in [run, *others]}
    assert len(commands) == len(others) + 1
    assert real_video.key({**run._asdict(), 'top1': 0.5}) == run


def write_test(workdir, ids='cab'):
    """What a score leaves: of three videos a and c are right."""
    (workdir / 'test').mkdir(parents=True)
    results = {'step': 9, 'top1': 2 / 3, 'mean_class_accuracy': 0.25, 'loss': 1.0}
    (workdir / 'test/results.json').write_text(json.dumps(results))
    logits = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    stored = predictions.Stored(np.array(list(ids)), np.array([0, 1, 1]), logits, np.array(['x', 'y']), '')
    np.savez(workdir / 'test' / predictions.FILE, **stored._asdict())


def test_what_is_recorded(tmp_path):
    write_test(tmp_path)
    lines = [{'step': 3, 'kind': 'train', 'loss': 2}, {'step': 4, 'kind': 'validation', 'top1': 0.5},
             {'step': 9, 'kind': 'validation', 'top1': 0.75}]  # fmt: skip
    (tmp_path / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)) + '\n')
    found = scores(tmp_path)
    assert (found['steps'], found['top1'], found['mean_class']) == (9, 0.6667, 0.25)
    assert found['validation'] == [0.5, 0.75]
    assert bits(found['right'], 3).tolist() == [True, False, True]  # a, b, c
    # Of printf 'a\nb\nc' | sha256sum
    assert found['test'] == {'videos': 3, 'ids': 'ea7fb08b7a2dc461'}


def test_runs_are_compared_on_the_same_videos(tmp_path):
    write_test(tmp_path / 'one')
    write_test(tmp_path / 'other', ids='cad')
    run = Run('resnet18', 'dnr', 16, 'cut', 0.1, 0)
    dnr, batch = ({**of._asdict(), **real_video.tested(tmp_path / 'one')} for of in (run, run._replace(method='batch')))
    same_test([dnr, batch])
    elsewhere = {**run._replace(seed=1)._asdict(), **real_video.tested(tmp_path / 'other')}
    with pytest.raises(
        ValueError, match=r'dnr 16 cut 0\.1 0 with 3 videos \(.*resnet18 dnr 16 cut 0\.1 1 with 3 videos'
    ):
        same_test([dnr, batch, elsewhere])


def test_not_all_norms_standardize_by_sets():
    assert {method for method in METHODS if not by_sets(method)} == {
        'batch renormalized', 'group', 'group, weights standardized',
    }  # fmt: skip


@pytest.mark.parametrize(('method', 'clips', 'again'), [('dnr', 2, True), ('dnr', 16, False), ('group', 2, False)])
def test_what_was_trained_by_small_sets_is_scored_twice(tmp_path, monkeypatch, method, clips, again):
    monkeypatch.setattr(real_video.sessions, 'run', lambda *_: 1.0)
    monkeypatch.setattr(real_video, 'scores', lambda workdir: {})
    monkeypatch.setattr(real_video, 'counted', lambda workdir, clips: clips)
    run = Run('resnet18', method, clips, 'cut', 0.1, 0)
    measured = real_video.train(run, tmp_path, 'data', True, tmp_path / 'records.jsonl')
    assert measured.get('counted') == (2 if again else None)


def test_networks_of_small_sets_are_scored_in_their_sets_too(tmp_path, monkeypatch):
    """By `eval.py` beside the test of the training, which stays."""
    asked = []

    def run(command, check):
        asked.append(command[1:])
        (out,) = (of.removeprefix('--out=') for of in command if of.startswith('--out='))
        write_test(Path(out).parent)

    monkeypatch.setattr(real_video.subprocess, 'run', run)
    assert counted(tmp_path, 2)['top1'] == 0.6667
    assert asked == [
        ['eval.py', f'--workdir={tmp_path}', f'--out={tmp_path}/counted/test', '--config.run.precise_batches=32',
         '--config.run.self_inclusive=2'],
    ]  # fmt: skip
    assert not (tmp_path / 'test').exists()
