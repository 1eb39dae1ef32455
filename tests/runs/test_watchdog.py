"""A run that does not move ends by itself, and one that does is left alone."""

import subprocess
import sys

PROGRAM = """
import time
from dnr_jax.runs.watchdog import Watchdog
with Watchdog({seconds}) as watchdog:
    watchdog.expect('the first batch')
    {then}
print('moved on')
"""


def run(seconds, then):
    program = PROGRAM.format(seconds=seconds, then=then)
    return subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=60)


def test_a_stall_ends_the_run_and_says_where():
    ended = run(1, 'time.sleep(50)')
    assert ended.returncode == 3 and ended.stdout == ''
    assert 'waited 1 s for the first batch' in ended.stderr and 'time.sleep' not in ended.stdout
    assert 'Thread' in ended.stderr and '<string>' in ended.stderr


def test_words_in_time_rest_and_none_at_all_are_left_alone():
    assert run(2, "[(watchdog.expect('a batch'), time.sleep(0.5)) for _ in range(6)]").stdout == 'moved on\n'
    assert run(1, 'watchdog.rest(); time.sleep(2.5)').stdout == 'moved on\n'
    assert run(0, 'time.sleep(1.5)').stdout == 'moved on\n'
