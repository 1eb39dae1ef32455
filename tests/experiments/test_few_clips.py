"""The plan of the trainings on few clips, and where each begins."""

from pathlib import Path

import pytest

from experiments import real_video
from experiments.few_clips import ORIGINS, Run, command_of, plan, table


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


def test_a_row_for_each_origin():
    scored = {'top1': 0.25, 'mean_class': 0.2}
    found = [{'method': 'dnr', 'origin': 'words', **scored}, {'method': 'dnr', 'origin': 'nothing', **scored},
             {'method': 'dnr', 'origin': 'nothing', **scored, 'top1': 0.35}]  # fmt: skip
    assert table(found).splitlines()[2:] == [
        '| dnr | nothing | 30.0 ± 7.1 (2) | 20.0 ± 0.0 (2) |',
        '| dnr | words | 25.0 (1) | 20.0 (1) |',
    ]
