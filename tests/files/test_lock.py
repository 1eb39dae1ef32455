"""A lock has one holder, ends with it, and is not kept by a host that is gone."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from contenders import come_at_once

from dnr_jax.files import Busy, lock, marks


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'lock'


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(lock, 'BEAT', 0.1)
    monkeypatch.setattr(lock, 'SILENCE', 1.0)
    monkeypatch.setattr(marks, 'SETTLED', 0.2)


@pytest.fixture
def disk_without_locks(monkeypatch):
    """As Lustre is without -o flock, and some disks of the network."""

    def flock(descriptor, how):
        raise OSError(errno.ENOSYS, 'Function not implemented')

    monkeypatch.setattr(lock.fcntl, 'flock', flock)


def held(path, patient=False):
    return lock.held(path, 'it', patient, tell=lambda _: None)


@contextmanager
def holder(path):
    """Another process that holds the lock until it is killed."""
    program = (
        'import sys, pathlib; from dnr_jax.files import lock; lock.BEAT = 0.1\n'
        "with lock.held(pathlib.Path(sys.argv[1]), 'it', tell=print): print('ready', flush=True); sys.stdin.read()"
    )
    pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}
    with subprocess.Popen([sys.executable, '-c', program, str(path)], **pipes) as child:
        assert child.stdout.readline() == b'ready\n'
        yield child
        child.kill()


def test_one_at_a_time(path):
    with holder(path) as child:
        with pytest.raises(Busy, match=f'^it is in use by process {child.pid} on .*, since 20'):
            with held(path):
                pass
        child.kill()
        child.wait()
        with held(path):
            pass
    assert not path.exists()


def test_one_at_a_time_on_a_disk_without_locks(path, disk_without_locks):
    with holder(path) as child:
        with pytest.raises(Busy, match=f'^it is in use by process {child.pid} on '), held(path):
            pass
        assert json.loads(path.read_text())['process'] == child.pid  # it is still the other's
        child.kill()
        child.wait()
        started = time.monotonic()
        with held(path):
            assert time.monotonic() - started < 0.9  # one of this machine that has ended is not listened for
    assert not path.exists()


def test_of_two_that_come_at_once_on_a_disk_without_locks_one_has_it(path, disk_without_locks):
    assert come_at_once(lambda: held(path), 3, 2) == ['busy', 'busy', 'held'] and not path.exists()


def test_one_that_was_taken_for_gone_leaves_the_lock_to_the_other(path):
    with held(path):
        of_another_host(path)
    assert json.loads(path.read_text())['host'] == 'gpu9'


def test_a_patient_one_waits(path):
    with holder(path) as child:
        threading.Timer(0.5, child.stdin.close).start()
        started = time.monotonic()
        with held(path, patient=True):
            assert time.monotonic() - started > 0.4
            with pytest.raises(Busy), held(path):
                pass


def test_it_is_given_back_where_something_goes_wrong(path):
    with pytest.raises(KeyError), held(path):
        raise KeyError
    with held(path):
        assert json.loads(path.read_text())['process'] == os.getpid()


def of_another_host(path):
    path.write_text(json.dumps({'process': 7, 'host': 'gpu9', 'machine': 'another', 'since': 'noon'}))


def test_another_host_that_is_heard(path):
    """On a disk that tells no other host of locks."""
    of_another_host(path)
    done = threading.Event()

    def beat():
        while not done.wait(0.2):
            os.utime(path)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(Busy, match='process 7 on gpu9, since noon'), held(path):
            pass
    finally:
        done.set()
        thread.join()
    assert json.loads(path.read_text())['host'] == 'gpu9'  # it is still the other's


def test_a_patient_one_waits_for_another_host_too(path):
    of_another_host(path)
    beats = [threading.Timer(seconds, os.utime, [path]) for seconds in (0.3, 0.6)]
    for beat in beats:
        beat.start()
    with held(path, patient=True):
        assert json.loads(path.read_text())['process'] == os.getpid()


def test_another_host_that_is_gone(path):
    of_another_host(path)
    started = time.monotonic()
    with held(path):
        assert time.monotonic() - started >= 1
        assert json.loads(path.read_text())['process'] == os.getpid()


def test_another_host_that_is_long_gone(path):
    of_another_host(path)
    os.utime(path, (0, 0))
    started = time.monotonic()
    with held(path):
        assert time.monotonic() - started < 0.5


def test_the_holder_is_heard(path):
    with held(path):
        before = path.stat().st_mtime_ns
        time.sleep(0.5)
        assert path.stat().st_mtime_ns > before


@pytest.mark.parametrize('content', ['', '{', '[1]', 'null', '\x00' * 8])
def test_a_file_that_says_nothing(path, content):
    path.write_text(content)
    with held(path):
        pass


def test_many_at_once_are_one_after_the_other(path):
    """Though each takes the file away at its end."""
    inside, most = 0, []

    def enter():
        nonlocal inside
        with held(path, patient=True):
            inside += 1
            most.append(inside)
            time.sleep(0.01)
            inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 20
