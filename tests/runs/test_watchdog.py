"""A run that does not move ends by itself, and one that does is left alone."""

import signal
import subprocess
import sys
import time

PROGRAM = """
import time
from dnr_jax.runs.watchdog import Watchdog
with Watchdog({seconds}) as watchdog:
    watchdog.expect('the first batch')
    {then}
print('moved on')
"""


def started(seconds, then):
    program = PROGRAM.format(seconds=seconds, then=then)
    return subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_stall_ends_the_run_and_says_where():
    run = started(1, 'time.sleep(50)')
    out, told = run.communicate(timeout=60)
    assert run.returncode == 3 and out == ''
    assert 'waited 1 s for the first batch' in told and 'Thread' in told and '<string>' in told


def test_a_run_that_was_suspended_goes_on():
    """By Ctrl-Z and fg, for longer than the watchdog waits."""
    run = started(2, "print('begun', flush=True); time.sleep(1)")
    assert run.stdout.readline() == 'begun\n'
    run.send_signal(signal.SIGSTOP)
    time.sleep(3)
    run.send_signal(signal.SIGCONT)
    assert run.communicate(timeout=60) == ('moved on\n', '')


def test_words_in_time_rest_and_none_at_all_are_left_alone():
    runs = [
        started(2, "[(watchdog.expect('a batch'), time.sleep(0.5)) for _ in range(6)]"),
        started(1, 'watchdog.rest(); time.sleep(2.5)'),
        started(0, 'time.sleep(1.5)'),
    ]
    assert [run.communicate(timeout=60)[0] for run in runs] == ['moved on\n'] * 3
