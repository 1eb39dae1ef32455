"""The seconds of a training that was stopped are those of all its sessions, and it goes on for its own records."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from experiments import sessions


@pytest.fixture
def clock(monkeypatch):
    """A time that stands still, in seconds."""
    now = [1000.0]
    monkeypatch.setattr(sessions.time, 'time', lambda: now[0])
    return now


def training(monkeypatch, clock, workdir, seconds, written, fails=False, into=Path('mine.jsonl')):
    """A session of so many seconds, that writes its last line of metrics after `written` of them."""

    def run(command, check):
        assert command == ['train.py'] and check
        metrics = workdir / 'metrics.jsonl'
        metrics.write_text('{}')
        os.utime(metrics, (clock[0] + written,) * 2)
        clock[0] += seconds
        if fails:
            raise subprocess.CalledProcessError(143, command)

    monkeypatch.setattr(sessions.subprocess, 'run', run)
    return sessions.run(['train.py'], workdir, into)


def test_sessions_add_up_to_their_last_line(monkeypatch, clock, tmp_path):
    """Of 60, 30 and 20 seconds, the first two stopped 10 and 5 after their last line, with hours between them."""
    workdir = tmp_path / 'runs/dnr'
    for seconds, written in ((60, 50), (30, 25)):
        with pytest.raises(subprocess.CalledProcessError):
            training(monkeypatch, clock, workdir, seconds, written, fails=True)
        clock[0] += 7200
    assert training(monkeypatch, clock, workdir, 20, 15) == 50 + 25 + 20


def test_a_session_that_has_written_nothing_counts_nothing(monkeypatch, clock, tmp_path):
    """As one that has found no videos, or whose lines are those of the session before."""
    for began in (2000.0, 3000.0):
        (tmp_path / sessions.FILE).write_text(json.dumps({'spent': 5.0, 'began': began}))
        (tmp_path / 'metrics.jsonl').write_text('{}')
        os.utime(tmp_path / 'metrics.jsonl', (1990.0,) * 2)
        assert training(monkeypatch, clock, tmp_path, 20, 15) == 25


def test_a_folder_that_was_taken_away_begins_at_nothing(monkeypatch, clock, tmp_path):
    (tmp_path / sessions.FILE).write_text(json.dumps({'spent': 5.0, 'began': 10.0}))
    assert training(monkeypatch, clock, tmp_path, 20, 15) == 20


def test_a_training_of_other_records_is_not_taken_for_a_new_one(monkeypatch, clock, tmp_path):
    """It would be scored again, and recorded as trained by today's code, in the seconds of both."""
    mine, other = tmp_path / 'mine.jsonl', tmp_path / 'other.jsonl'
    assert training(monkeypatch, clock, tmp_path, 60, 60, into=mine) == 60
    with pytest.raises(ValueError, match='begun for .*mine.jsonl. Give another --workdir'):
        training(monkeypatch, clock, tmp_path, 1, 1, into=other)
    clock[0] += 7200
    assert training(monkeypatch, clock, tmp_path, 5, 5, into=mine) == 65
