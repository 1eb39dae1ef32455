"""A request to stop a training is answered at the next safe place, or at once where nothing can be lost."""

import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from dnr_jax.command.signals import Stopped
from dnr_jax.runs.stopping import StopRequest

MEANT = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
REQUESTS = pytest.mark.parametrize(('number', 'status'), [*MEANT, (signal.SIGHUP, 129)])


@REQUESTS
def test_a_request_is_answered_at_the_next_check(number, status):
    before = signal.getsignal(number)
    with StopRequest() as stop:
        stop.at_safe_places_only()
        stop.check()
        os.kill(os.getpid(), number)
        deadline = time.monotonic() + 5
        with pytest.raises(Stopped) as stopped:
            while time.monotonic() < deadline:
                stop.check()
    assert stopped.value.status == status
    assert signal.getsignal(number) is before


PROGRAM = """
import os, signal, time
from dnr_jax.runs.stopping import StopRequest
with StopRequest() as stop:
    {first}
    print('ready', flush=True)
    {then}
print('went on')
"""
# A call that gives the other threads their turn but not signal handlers, as compiling does.
DEAF = "__import__('hashlib').pbkdf2_hmac('sha256', b'', b'', 100_000_000)"


def stopped(first, then, number, signals=1):
    """(exit status, seconds from the first signal on) of the program."""
    program = PROGRAM.format(first=first, then=then)
    with subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == 'ready\n'
        started = time.monotonic()
        for _ in range(signals):
            child.send_signal(number)
            time.sleep(0.3)
        status = child.wait(60)
    return status, time.monotonic() - started


@REQUESTS
def test_with_nothing_to_lose_the_end_comes_at_once_even_while_compiling(number, status):
    found, seconds = stopped('pass', DEAF, number)
    assert found == status and seconds < 5


@pytest.mark.parametrize(('number', 'status'), MEANT)
@pytest.mark.parametrize('then', ['time.sleep(50)', DEAF])
def test_a_second_request_does_not_wait(then, number, status):
    found, seconds = stopped('stop.at_safe_places_only()', then, number, signals=2)
    assert found == status and seconds < 5


@REQUESTS
def test_with_something_to_lose_the_run_goes_on_until_it_is_safe(number, status):
    assert stopped('stop.at_safe_places_only()', 'time.sleep(1)', number)[0] == 0


IN_TERMINAL = """
import fcntl, signal, sys, termios, time
from pathlib import Path
from dnr_jax.command.signals import Stopped
from dnr_jax.command.terminal import tell
from dnr_jax.runs.stopping import StopRequest
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
{before}
with StopRequest() as stop:
    stop.at_safe_places_only()
    tell('ready')
    try:
        for step in range(40):
            tell('a step')
            stop.check()
            time.sleep(0.05)
        status = 0
    except Stopped as asked:
        time.sleep(0.3)
        print('saved', flush=True)
        status = asked.status
Path(sys.argv[1]).write_text(str(status))
"""


@pytest.mark.parametrize(
    ('before', 'status'), [('', 129), ('signal.signal(signal.SIGHUP, signal.SIG_IGN)', 0)], ids=['as is', 'nohup']
)
def test_a_terminal_that_is_gone(tmp_path, before, status):
    """As when a connection breaks: the run saves and ends; behind `nohup` it goes on, and its lines go nowhere."""
    ours, theirs = pty.openpty()
    program = [sys.executable, '-c', IN_TERMINAL.format(before=before), str(tmp_path / 'status')]
    files = dict.fromkeys(('stdin', 'stdout', 'stderr'), theirs)
    with subprocess.Popen(program, **files, start_new_session=True) as child:
        os.close(theirs)
        assert b'ready' in os.read(ours, 100)
        os.close(ours)
        time.sleep(0.15)
        with suppress(ProcessLookupError):
            child.send_signal(signal.SIGHUP)  # from the shell, that is
        child.wait(30)
    assert (tmp_path / 'status').read_text() == str(status)
