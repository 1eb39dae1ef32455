"""A job with a part of a machine starts no more processes than it has cores."""

import argparse
import os
import subprocess
import sys

import pytest

from dnr_jax.data import cores, prepare

ALLOTTED = 'import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); import dnr_jax.data.cores as cores; '


def workers():
    """Of a preparation that does not say how many."""
    parser = argparse.ArgumentParser()
    prepare.add_origin(parser)
    return parser.parse_args(['videos']).workers


def test_those_of_another_job_are_left_to_it(monkeypatch):
    monkeypatch.setattr(os, 'cpu_count', lambda: 128)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda process: {4, 5, 68, 69}, raising=False)
    assert cores.allotted() == workers() == 4


@pytest.mark.skipif(not hasattr(os, 'sched_setaffinity'), reason='this system binds no process to cores')
def test_a_process_that_is_bound_to_a_core_has_one():
    assert subprocess.check_output([sys.executable, '-c', f'{ALLOTTED} print(cores.allotted())']) == b'1\n'


@pytest.mark.parametrize(('told', 'expected'), [(6, 6), (None, 1)])
def test_where_the_system_does_not_tell_all_are_there(told, expected, monkeypatch):
    monkeypatch.delattr(os, 'sched_getaffinity', raising=False)
    monkeypatch.setattr(os, 'cpu_count', lambda: told)
    assert cores.allotted() == workers() == expected
