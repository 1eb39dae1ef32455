"""The plan of the trainings on few clips, and where each begins."""

from pathlib import Path

import pytest

from experiments import few_clips, real_video
from experiments.few_clips import ORIGINS, Run, command_of, expect_words, plan, table, train


def test_each_run_once_seed_by_seed():
    runs = plan(['batch', 'dnr'], seeds=2)
    assert len(runs) == len(set(runs)) == 4 * len(ORIGINS) and [run.seed for run in runs] == [0] * 4 + [1] * 4
    with pytest.raises(ValueError, match="'dnrr'.*Did you mean 'dnr'"):
        plan(['dnrr'], seeds=1)


def test_a_training_begins_with_the_words_of_its_norms_and_seed():
    anew, after_words = (
        command_of(Run('clock, relay along layers', origin, 1), Path('run'), Path('words'), 'data')
        for origin in ('nothing', 'words')
    )
    of_words = real_video.Run('resnet18', 'clock, relay along layers', 16, 'cut', real_video.RATE, 1)
    began = [option for option in after_words if option not in anew]
    assert began[-1] == f'--config.init_from=words/{real_video.folder_of(of_words)}'
    assert not any('init_from' in option for option in anew)
    assert '--config=configs/jhmdb21.py:resnet18,cross_layer,hopwise' in anew and '--config.seed=1' in anew


def test_a_training_is_recorded_before_its_checkpoints_go(monkeypatch, tmp_path):
    """A process that is stopped in between must not train again."""
    done = []
    monkeypatch.setattr(few_clips.sessions, 'run', lambda command, workdir: 9.5)
    monkeypatch.setattr(few_clips, 'tested', lambda workdir: {'top1': 0.25})
    monkeypatch.setattr(few_clips.records, 'add', lambda path, measured: done.append((path, measured)))
    monkeypatch.setattr(few_clips.shutil, 'rmtree', done.append)
    measured = train(Run('dnr', 'words', 1), tmp_path, Path('words'), 'data', Path('mine.jsonl'))
    assert done == [(Path('mine.jsonl'), measured), tmp_path / 'checkpoints'] and measured['seconds'] == 9.5
    assert (measured['method'], measured['origin'], measured['seed'], measured['top1']) == ('dnr', 'words', 1, 0.25)


def test_networks_that_trainings_begin_with_are_asked_for_before_the_first(tmp_path):
    begun = tmp_path / 'resnet18_dnr_16_cut_0.1_0/checkpoints'
    begun.mkdir(parents=True)
    expect_words(plan(['dnr'], seeds=1), tmp_path)
    expect_words([Run('batch', 'nothing', 0)], tmp_path)
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
