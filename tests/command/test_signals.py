"""A command that is asked to end closes what is open, says one line, and ends; whatever it is doing."""

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import contextlib, gc, sys, time
from dnr_jax.command import signals
signals.GRACE = 1.0
with signals.ending_as_asked('it'), contextlib.ExitStack() as stack:
    stack.callback(print, 'closed', flush=True)
    {first}
    print('ready', flush=True)
    {then}
print('went on')
"""
DEAF = "__import__('hashlib').pbkdf2_hmac('sha256', b'', b'', 100_000_000)"  # computes without Python, as XLA does
IN_CALLBACK = 'gc.callbacks.append(lambda *_: time.sleep(0.5))'  # where what is raised is lost
MEANT = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
REQUESTS = pytest.mark.parametrize(('number', 'status'), [*MEANT, (signal.SIGHUP, 129)])


def ended(first, then, number, times=1):
    """(exit status, standard output, standard error, seconds from the first signal on) of the program."""
    program = PROGRAM.format(first=first, then=then)
    pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True}
    with subprocess.Popen([sys.executable, '-c', program], **pipes) as child:
        assert child.stdout.readline() == 'ready\n'
        time.sleep(0.2)
        started = time.monotonic()
        for _ in range(times):
            child.send_signal(number)
            time.sleep(0.2)
        out, err = child.communicate(timeout=30)
    return child.returncode, out, err, time.monotonic() - started


@REQUESTS
def test_what_is_open_is_closed(number, status):
    assert ended('', 'time.sleep(50)', number)[:3] == (status, 'closed\n', 'it: stopped as asked\n')


@REQUESTS
def test_what_is_lost_in_a_callback_is_raised_again(number, status):
    found = ended(IN_CALLBACK, 'gc.collect(); time.sleep(50)', number)
    assert found[:3] == (status, 'closed\n', 'it: stopped as asked\n') and found[3] < 5


@REQUESTS
def test_what_computes_without_python_is_ended(number, status):
    *found, seconds = ended('', DEAF, number)
    assert found == [status, '', 'it: stopped as asked\n'] and 1 <= seconds < 5


@pytest.mark.parametrize(('number', 'status'), MEANT)
def test_a_second_request_ends_at_once(number, status):
    close_slowly = 'stack.callback(time.sleep, 50); signals.GRACE = 50'
    *found, seconds = ended(close_slowly, 'time.sleep(50)', number, times=2)
    assert found[0] == status and seconds < 5


def test_the_end_of_a_terminal_comes_twice_and_is_one_request():
    slowly = 'stack.callback(lambda: (time.sleep(1), print("slowly", flush=True)))'
    found = ended(slowly, 'time.sleep(50)', signal.SIGHUP, times=2)
    assert found[:3] == (129, 'slowly\nclosed\n', 'it: stopped as asked\n')


def test_other_errors_and_ends_pass_through():
    program = PROGRAM.format(first='pass', then='pass')
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, 'ready\nclosed\nwent on\n', '')
    program = PROGRAM.format(first='pass', then='sys.exit(7)')
    assert subprocess.run([sys.executable, '-c', program], capture_output=True).returncode == 7
