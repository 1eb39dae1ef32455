"""Killed and started again, a training ends where one left alone does."""

import json

import pytest
import test_commands

from benchmarks import kills


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """One CPU device, and a network that compiles fast."""
    config, *others = kills.SETTINGS
    monkeypatch.setattr(kills, 'SETTINGS', [config.replace('dnr', 'batch'), *others])
    for name, value in test_commands.environment().items():
        monkeypatch.setenv(name, value)


@pytest.mark.every
def test_a_kill(tiny_dir, tmp_path, monkeypatch):
    out = tmp_path / 'record.json'
    options = {'kills': 1, 'epochs': 3, 'longest': 0.3, 'workdir': tmp_path, 'data_dir': tiny_dir, 'out': out}
    monkeypatch.setattr('sys.argv', ['kills', *(f'--{name}={value}' for name, value in options.items())])
    assert kills.main() == 0
    record = json.loads(out.read_text())
    assert [kill['lost'] for kill in record['kills']] == [0]
    assert kills.is_same(record), kills.as_table(record)
