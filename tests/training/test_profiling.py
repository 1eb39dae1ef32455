"""A trace holds the steps that were asked for, whole, though steps run ahead of the host."""

import jax
import pytest

from dnr_jax.training.profiling import Profiler


@pytest.fixture
def words(monkeypatch):
    """What happens, in order."""
    words = []
    monkeypatch.setattr(jax.profiler, 'start_trace', lambda folder: words.append('start'))
    monkeypatch.setattr(jax.profiler, 'stop_trace', lambda: words.append('stop'))
    return words


def run(folder, words, wanted, steps):
    with Profiler(folder, wanted, first_step=5) as profiler:
        for step in steps:
            profiler.before(step, settle=lambda: words.append('settle'))
            words.append(step)
    return words


def test_steps_before_and_after_are_over_when_it_begins_and_ends(tmp_path, words):
    assert run(tmp_path, words, 2, range(5, 11)) == [5, 6, 'settle', 'start', 7, 8, 'settle', 'stop', 9, 10]


def test_it_ends_with_the_run(tmp_path, words):
    assert run(tmp_path, words, 9, range(5, 9)) == [5, 6, 'settle', 'start', 7, 8, 'stop']


def test_it_begins_and_ends_though_the_steps_for_that_are_passed_over(tmp_path, words):
    assert run(tmp_path, words, 2, [5, 6, 8, 10, 11]) == [5, 6, 'settle', 'start', 8, 'settle', 'stop', 10, 11]


def test_none(tmp_path, words):
    assert run(tmp_path, words, 0, range(5, 9)) == [5, 6, 7, 8]
