from pathlib import Path

import pytest

from benchmarks import records
from dnr_jax.norms.words import norm_slots
from experiments import small_batch
from experiments.small_batch import ALL, BACKBONES, CLIPS, METHODS, PAGE, Part, Run, config_of, plan


def test_the_plan_holds_every_run_once():
    part = Part(list(METHODS), CLIPS, seeds=3, epochs=2)
    runs = plan([part, part._replace(seeds=2)])
    with_clips = sum(method.over_clips for method in METHODS.values())
    assert len(runs) == len(set(runs)) == 3 * len(BACKBONES) * (with_clips * len(CLIPS) + len(METHODS) - with_clips)
    assert {run.clips for run in runs if run.method == 'group'} == {1}
    assert runs[0] == Run('resnet18', 'batch', 2, 0, 2)


def test_the_page_shows_no_run_that_its_command_does_not_make():
    assert set(map(small_batch.key, records.read(small_batch.RECORDS))) <= set(plan(PAGE))


def test_missing_runs_take_as_long_as_those_that_were_made():
    found = [{'epochs': 2, 'seconds': seconds} for seconds in (20, 30, 90)] + [{'epochs': 6, 'seconds': 60}]
    missing = plan([Part(['batch'], (2,), seeds=2, epochs=2, backbones=['resnet18'])])
    assert small_batch.expected_minutes(missing, found) == 1
    assert small_batch.expected_minutes(missing, []) == 0


def test_runs_of_one_program_stand_together():
    programs = [run._replace(seed=0) for run in plan(PAGE)]
    assert sum(a != b for a, b in zip(programs, programs[1:], strict=False)) + 1 == len(set(programs))


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="Unknown method 'dnrr'. Did you mean 'dnr'"):
        plan([Part(['dnrr'], CLIPS, seeds=1, epochs=2)])
    with pytest.raises(ValueError, match="Unknown backbone 'resnet8'"):
        plan([Part(['dnr'], CLIPS, seeds=1, epochs=2, backbones=['resnet8'])])


@pytest.mark.parametrize('method', ALL)
def test_runs_differ_from_the_recipe_by_what_they_say(method):
    config = config_of(Run('tsm_resnet18', method, 4, 2, 6), 'data')
    assert (
        config.model.backbone == 'tsm_resnet18'
        and (config.seed, config.train.epochs) == (2, 6)
        and config.data.dir == 'data'
    )
    assert config.model.norm.statistics_scope == ('4' if ALL[method].over_clips else 'device')
    assert len(norm_slots(config.model.norms, 2)) == 2
    for key, value in ALL[method].changes.items():
        assert (
            config.to_dict()[key.split('.')[0]]
            != config_of(Run('resnet18', 'dnr', 4, 2, 6), 'data').to_dict()[key.split('.')[0]]
        )
        assert config[key] == value


class FakeTrainer:
    made = 0

    def __init__(self, config, classes, steps_per_epoch):
        assert (classes, steps_per_epoch) == (12, 2)
        FakeTrainer.made += 1

    def run(self, seed, clips):
        return {'top1': {'running': seed / 10}, 'seconds': 1.0}


def test_runs_are_recorded_one_by_one_and_programs_made_once(monkeypatch, tmp_path):
    class Clips:
        train = range(32)

    monkeypatch.setattr(small_batch, 'Trainer', FakeTrainer)
    monkeypatch.setattr(small_batch, 'read_clips', lambda config, folder: Clips)
    monkeypatch.setattr(FakeTrainer, 'made', 0)
    runs = plan([Part(['batch', 'group'], [2], seeds=3, epochs=6, backbones=['resnet18'])])
    small_batch.carry_out(runs, 'data', Path(), tmp_path / 'runs/mine.jsonl')
    found = records.read(tmp_path / 'runs/mine.jsonl')
    assert [small_batch.key(record) for record in found] == runs
    assert [record['top1']['running'] for record in found] == [0.0, 0.1, 0.2] * 2
    assert FakeTrainer.made == 2
