"""A family is trained once for each file of records, by the settings that are recorded with it."""

import pytest

from benchmarks import records
from experiments import families


@pytest.fixture
def trained(monkeypatch):
    """Commands of trainings, which get ever better."""
    commands = []
    monkeypatch.setattr(families.sessions, 'run', lambda command, workdir, into: commands.append(command) or 9.5)
    monkeypatch.setattr(families, 'tested', lambda workdir: {'top1': len(commands) / 4, 'steps': 1024})
    return commands


def test_what_is_recorded_is_not_trained_again(trained, tmp_path):
    into = tmp_path / 'mine.jsonl'
    for _ in range(2):
        assert families.top1('resnet18', 'dnr', 0, tmp_path, 'data', into) == 0.25
        assert families.top1('resnet18', 'batch', 0, tmp_path, 'data', into) == 0.5
    found = [(record['norms'], record['top1'], record['steps'], record['seconds']) for record in records.read(into)]
    assert found == [('dnr', 0.25, 1024, 9.5), ('batch', 0.5, 1024, 9.5)] and len(trained) == 2


def test_other_settings_are_another_training(trained, tmp_path, monkeypatch):
    """What lies in the work folder is of the settings before, and must not be recorded as of the new ones."""
    into = tmp_path / 'mine.jsonl'
    for settings in ([], ['--config.train.epochs=8']):
        monkeypatch.setitem(families.SETTINGS, 'resnet18', settings)
        families.top1('resnet18', 'dnr', 0, tmp_path, 'data', into)
    assert [record['settings'] for record in records.read(into)] == [[], ['--config.train.epochs=8']]
    assert '--config.train.epochs=8' not in trained[0] and '--config.train.epochs=8' in trained[1]
