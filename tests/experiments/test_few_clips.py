"""The plan of the trainings on few clips, and where each begins."""

import importlib
from pathlib import Path

import pytest

from experiments import few_clips, real_video
from experiments.few_clips import ORIGINS, Run, expect_words, plan, table, train


def test_each_run_once_seed_by_seed():
    runs = plan(['batch', 'dnr'], seeds=2)
    half = 2 * len(ORIGINS)
    assert len(runs) == len(set(runs)) == 2 * half and [run.seed for run in runs] == [0] * half + [1] * half
    assert plan(['dnr'], 1, ['shapes']) == [Run('dnr', 'shapes', 0)]
    with pytest.raises(ValueError, match="'dnrr'.*Did you mean 'dnr'"):
        plan(['dnrr'], seeds=1)
    with pytest.raises(ValueError, match="'shape'.*Did you mean 'shapes'"):
        plan(['dnr'], 1, ['shape'])


@pytest.fixture
def commands(monkeypatch):
    """Those of the trainings that would run, in their order."""
    ran = []
    monkeypatch.setattr(few_clips.sessions, 'run', lambda command, workdir, into: ran.append(command) or 9.5)
    monkeypatch.setattr(few_clips, 'tested', lambda workdir: {'top1': 0.25})
    monkeypatch.setattr(few_clips.records, 'add', lambda path, measured: ran.append((path, measured)))
    monkeypatch.setattr(few_clips.shutil, 'rmtree', ran.append)
    return ran


def began_with(command):
    """The folders that a training begins with."""
    return [option.partition('init_from=')[2] for option in command if 'init_from' in option]


@pytest.mark.parametrize('method', ['dnr', 'clock, relay along layers'])
def test_a_training_begins_with_what_has_the_same_norms_and_seed(commands, tmp_path, method):
    of_words = real_video.Run('resnet18', method, 16, 'cut', real_video.RATE, 1)
    begun = {'nothing': [], 'words': [f'words/{real_video.folder_of(of_words)}']}
    for origin, expected in begun.items():
        train(Run(method, origin, 1), tmp_path, Path('words'), 'data', Path('mine.jsonl'))
        anew, *_ = commands
        assert f'--config=configs/jhmdb21.py:resnet18,{real_video.METHODS[method]}' in anew
        assert '--config.seed=1' in anew and began_with(anew) == expected
        commands.clear()


def test_a_network_that_begins_with_shapes_learns_them_first(commands, tmp_path):
    train(Run('dnr', 'shapes', 1), tmp_path, Path('words'), 'data', Path('mine.jsonl'))
    shapes, actions, *_ = commands
    assert '--config=configs/moving_shapes.py:resnet18,dnr' in shapes and '--config.seed=1' in shapes
    assert f'--workdir={began_with(actions)[0]}' in shapes and f'--workdir={began_with(actions)[0]}' not in actions


def test_networks_of_shapes_are_those_that_are_asked_to_learn_actions():
    """So that one can begin with the weights of the other, heads apart."""
    shapes, actions = model_of('moving_shapes', few_clips.AS_WIDE), model_of('jhmdb21', [])
    actions.dropout = shapes.dropout
    assert shapes == actions


def model_of(config, flags):
    """config.model as a config and flags have it."""
    given = importlib.import_module(f'configs.{config}').get_config('resnet18,dnr')
    for flag in flags:
        name, _, value = flag.removeprefix('--config.').partition('=')
        given.update_from_flattened_dict({name: int(value)})
    return given.model


def test_a_training_is_recorded_before_its_checkpoints_go(commands, tmp_path):
    """A process that is stopped in between must not train again."""
    measured = train(Run('dnr', 'words', 1), tmp_path, Path('words'), 'data', Path('mine.jsonl'))
    _, *done = commands
    assert done == [(Path('mine.jsonl'), measured), tmp_path / 'dnr_words_1/checkpoints']
    assert measured['seconds'] == 9.5
    assert (measured['method'], measured['origin'], measured['seed'], measured['top1']) == ('dnr', 'words', 1, 0.25)


def test_networks_that_trainings_begin_with_are_asked_for_before_the_first(tmp_path):
    begun = tmp_path / 'resnet18_dnr_16_cut_0.1_0'
    (begun / 'checkpoints').mkdir(parents=True)
    with pytest.raises(ValueError, match='to the end in .*resnet18_dnr_16_cut_0.1_0, .*--seeds=1'):
        expect_words(plan(['dnr'], seeds=1), tmp_path)  # it is training still
    (begun / 'test').mkdir()
    (begun / 'test/results.json').write_text('{}')
    expect_words(plan(['dnr'], seeds=1), tmp_path)
    expect_words([Run('batch', 'nothing', 0), Run('batch', 'shapes', 0)], tmp_path)
    with pytest.raises(ValueError, match='resnet18_dnr_16_cut_0.1_1, .*--seeds=2'):
        expect_words(plan(['dnr'], seeds=2), tmp_path)


def test_a_row_for_each_origin():
    scored = {'top1': 0.25, 'mean_class': 0.2}
    found = [{'method': 'dnr', 'origin': 'words', **scored}, {'method': 'dnr', 'origin': 'nothing', **scored},
             {'method': 'dnr', 'origin': 'nothing', **scored, 'top1': 0.35}]  # fmt: skip
    assert table(found).splitlines()[2:] == [
        '| dnr | nothing | 30.0 ± 7.1 (2) | 20.0 ± 0.0 (2) |',
        '| dnr | words | 25.0 (1) | 20.0 (1) |',
    ]
