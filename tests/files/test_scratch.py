"""Scratch folders go with their process, however it ends, and leave nothing."""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dnr_jax.files import scratch_folder

KILLED = (
    'import os\nfrom dnr_jax.files import scratch_folder\nwith scratch_folder() as folder:\n    os.kill(os.getpid(), 9)'
)


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    monkeypatch.setattr(tempfile, 'tempdir', None)
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


def test_it_is_empty_and_goes(temporary):
    with scratch_folder() as one, scratch_folder() as other:
        assert one != other and list(one.iterdir()) == list(other.iterdir()) == []
        (one / 'file').touch()


def test_what_a_killed_process_left_goes_and_what_others_have_stays(temporary):
    with scratch_folder() as mine:
        assert subprocess.run([sys.executable, '-c', KILLED], env=os.environ).returncode == -9
        assert len(list(temporary.glob('*/*'))) == 2
        with scratch_folder():
            assert mine.exists() and len(list(temporary.glob('*/*'))) == 2


def test_many_come_and_go(temporary):
    def come(_):
        with scratch_folder() as folder:
            return Path(folder).exists()

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(come, range(200)))
