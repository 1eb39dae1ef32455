"""Metrics are averaged over the steps since the last report, and a loss that is not finite stops the run."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from dnr_jax.runs.reporting import Reporter
from dnr_jax.training.progress import STEPS_IN_FLIGHT, Progress

NO_SKIPS = {'max_skipped_steps': 0, 'damaged': 0, 'unreported': []}
IDS = np.array(['one', 'two'])


class Heard(Reporter):
    """A reporter that remembers."""

    def __init__(self):
        self.lines, self.values = [], []

    def line(self, text):
        self.lines.append(text)

    def scalars(self, step, kind, values):
        self.values.append((step, kind, values))


def metrics(loss, damaged=0):
    return {
        'loss': jnp.float32(loss),
        'top1': jnp.float32(0.25),
        'skipped': jnp.int32(0),
        'damaged': jnp.int32(damaged),
    }


def test_report():
    heard = Heard()
    progress = Progress(heard, lambda step: 0.1 * step, last_step=40, steps_per_epoch=20, clips_per_step=8, **NO_SKIPS)
    progress.first_step(1, metrics(4.0), IDS)
    for step, loss in ((2, 2.0), (3, 3.0)):
        with progress.waiting_for_data():
            pass
        progress.step(step, metrics(loss), IDS)
    progress.report(3)
    step, kind, values = heard.values[0]
    assert (step, kind, values['loss'], values['top1']) == (3, 'train', 3.0, 0.25)
    assert values['learning_rate'] == pytest.approx(0.2)  # of the update that made step 3
    assert values['clips_per_second'] > 0 and 0 <= values['waiting_share'] <= 1
    assert 'step      3/40' in heard.lines[-1] and 'loss 3.0000' in heard.lines[-1] and 'left' in heard.lines[-1]
    progress.step(4, metrics(7.0), IDS)
    progress.report(4)
    assert heard.values[1][2]['loss'] == 7.0


def test_damaged_records_are_told_once():
    heard = Heard()
    progress = Progress(heard, lambda step: 0.1, 9, 2, 8, **NO_SKIPS)
    progress.first_step(1, metrics(1.0), IDS)
    for step, damaged in ((2, 3), (3, 3), (4, 1000)):
        progress.step(step, metrics(1.0, damaged), IDS)
    progress.report(4)
    assert [line for line in heard.lines if 'damaged' in line] == [
        'step 2 has passed over damaged records, 3 since the beginning',
        'step 4 has passed over damaged records, 1,000 since the beginning',
    ]


def test_a_continued_run_tells_of_no_damaged_records_that_were_told_of_before():
    heard = Heard()
    progress = Progress(heard, lambda step: 0.1, 9, 2, 8, max_skipped_steps=0, damaged=3, unreported=[])
    progress.first_step(5, metrics(1.0, damaged=3), IDS)
    progress.step(6, metrics(1.0, damaged=4), IDS)
    progress.settle()
    assert [line for line in heard.lines if 'damaged' in line] == [
        'step 6 has passed over damaged records, 4 since the beginning'
    ]


def test_pause_does_not_count(monkeypatch):
    now = [0.0]
    monkeypatch.setattr('time.monotonic', lambda: now[0])
    heard = Heard()
    progress = Progress(heard, lambda step: 0.1, last_step=4, steps_per_epoch=2, clips_per_step=8, **NO_SKIPS)
    progress.first_step(1, metrics(1.0), IDS)
    now[0] += 2
    progress.step(2, metrics(1.0), IDS)
    with progress.pause():
        now[0] += 100
    progress.report(2)
    assert heard.values[0][2]['clips_per_second'] == 4
    assert 'left 0:04' in heard.lines[-1]


def test_not_finite_stops_soon_and_names_the_step():
    progress = Progress(Heard(), lambda step: 0.1, last_step=9, steps_per_epoch=2, clips_per_step=8, **NO_SKIPS)
    progress.first_step(1, metrics(1.0), IDS)
    progress.step(2, metrics(float('nan')), IDS)
    with pytest.raises(FloatingPointError, match='at step 2, with the clips one, two'):
        for step in range(3, 4 + STEPS_IN_FLIGHT):
            progress.step(step, metrics(1.0), IDS)


def test_a_few_steps_may_be_skipped_but_no_more():
    heard = Heard()
    progress = Progress(heard, lambda step: 0.1, 9, 2, 8, max_skipped_steps=1, damaged=0, unreported=[])
    progress.first_step(1, metrics(2.0), IDS)
    progress.step(2, metrics(float('nan')) | {'skipped': jnp.int32(1)}, IDS)
    progress.report(2)
    assert heard.values[0][2]['loss'] == 2.0
    assert any('step 2 is not finite and was skipped, 1 of 1' in line for line in heard.lines)
    progress.step(3, metrics(float('nan')) | {'skipped': jnp.int32(2)}, IDS)
    with pytest.raises(FloatingPointError, match='at step 3'):
        progress.settle()


LOSSES = [1 / (3 * step) for step in range(1, 41)]  # whose sum depends on the order


def progress_of(losses, unreported):
    """(what is told, the progress) of a run that goes on with steps of these losses."""
    heard = Heard()
    progress = Progress(heard, lambda step: 0.1, 40, 20, 8, max_skipped_steps=0, damaged=0, unreported=unreported)
    for step, loss in enumerate(losses):
        progress.step(step, metrics(loss), IDS)
    progress.settle()
    return heard, progress


def reported(losses, unreported):
    heard, progress = progress_of(losses, unreported)
    progress.report(40)
    return heard.values[0][2]['loss']


@pytest.mark.parametrize('stopped', [1, 2, 9, 39])
def test_a_continued_run_reports_over_the_same_steps(stopped):
    """To the bit, wherever it was stopped; and from a checkpoint of an earlier version, which has every step."""
    whole = reported(LOSSES, [])
    assert whole == pytest.approx(np.mean(LOSSES))
    _, part = progress_of(LOSSES[:stopped], [])
    assert reported(LOSSES[stopped:], json.loads(json.dumps(part.unreported))) == whole
    of_steps = [{'loss': float(np.float32(loss)), 'top1': 0.25} for loss in LOSSES[:stopped]]
    assert reported(LOSSES[stopped:], of_steps) == whole


def test_what_is_not_reported_takes_no_more_room_with_every_step():
    """In a checkpoint, of a training that reports at its end alone."""
    few, many = (len(json.dumps(progress_of(LOSSES[:steps], [])[1].unreported)) for steps in (2, 40))
    assert many < few + 40
