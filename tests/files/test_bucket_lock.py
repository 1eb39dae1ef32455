"""A lock in a bucket has one holder, ends with it, and is not kept by one that is gone."""

import json
import threading
import time

import pytest
from bucket import FAULTS, OBJECTS
from contenders import come_at_once

from dnr_jax.files import Busy, bucket_lock, buckets, lock, marks


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(bucket_lock, 'BEAT', 0.05)
    monkeypatch.setattr(bucket_lock, 'SILENCE', 0.5)
    monkeypatch.setattr(marks, 'SETTLED', 0.02)


@pytest.fixture
def path(bucket):
    return bucket / 'run' / '.lock'


def held(path, patient=False, tell=lambda _: None):
    return lock.held(path, 'it', patient, tell=tell)


def write(path, **changes):
    """A mark that another process has left."""
    OBJECTS[str(path).partition('://')[2]] = json.dumps(marks.this_process() | {'token': 'a'} | changes).encode()


def test_one_at_a_time(path):
    told = []
    with held(path):
        time.sleep(0.2)  # it beats, and stays
        with pytest.raises(Busy, match='^it is in use by process .* on .*, since 20.*give another folder$'):
            with held(path, tell=told.append):
                pass
    assert OBJECTS == {} and len(told) == 1 and 'listening for 0.5 s' in told[0]


def test_a_patient_one_waits(path):
    first = held(path)
    first.__enter__()
    threading.Timer(0.3, first.__exit__, (None, None, None)).start()
    started = time.monotonic()
    with held(path, patient=True):
        assert time.monotonic() - started > 0.25
    assert OBJECTS == {}


@pytest.mark.parametrize(
    ('changes', 'seconds'),
    [
        ({'process': 2**22 + 1}, (0, 0.3)),
        ({'machine': 'another'}, (0.5, 2)),
        ({'started': '1'}, (0, 0.3)),
    ],
)
def test_one_that_is_gone_is_not_waited_for_long(path, changes, seconds):
    """At all where it was of this machine; a number of a process may have been given again since."""
    write(path, **changes)
    started = time.monotonic()
    with held(path):
        assert seconds[0] <= time.monotonic() - started < seconds[1]
    assert OBJECTS == {}


def test_of_two_that_find_it_silent_one_takes_it(path):
    write(path, machine='another')
    assert come_at_once(lambda: held(path), 3, 0.3) == ['busy', 'busy', 'held']


def test_one_that_was_taken_over_does_not_take_the_lock_away(path):
    with held(path):
        write(path)
        time.sleep(0.15)
    assert json.loads(OBJECTS['bucket/run/.lock'])['token'] == 'a'


def test_what_cannot_be_written_is_told(path):
    FAULTS[:] = [None, PermissionError('no')]
    with pytest.raises(buckets.BucketError, match='^gs://bucket/run/.lock: no right to it'), held(path):
        pass
