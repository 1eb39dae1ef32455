"""Tables are read again as they were, by whatever programs, and wherever they were written."""

import csv
import os
import subprocess
import sys

from dnr_jax.files import write_rows

WRITES = "from pathlib import Path; from dnr_jax.files import write_rows; write_rows(Path({!r}), [['caf\\u00e9']])"


def test_names_that_are_no_utf8_keep_their_bytes(tmp_path):
    """Else one such video loses the rows of all others, after all of them were computed."""
    named = os.fsdecode(b'vid\xe9o, 1.mp4')
    write_rows(tmp_path / 'a.csv', [['video', 'top1'], [named, 0.5]])
    assert (tmp_path / 'a.csv').read_bytes() == b'video,top1\r\n"vid\xe9o, 1.mp4",0.5\r\n'
    with (tmp_path / 'a.csv').open(newline='', errors='surrogateescape') as lines:
        assert list(csv.reader(lines)) == [['video', 'top1'], [named, '0.5']]


def test_utf8_whatever_the_locale(tmp_path):
    path = tmp_path / 'a.csv'
    env = os.environ | {'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}
    subprocess.run([sys.executable, '-c', WRITES.format(str(path))], env=env, check=True)
    assert path.read_bytes() == 'café\r\n'.encode()
