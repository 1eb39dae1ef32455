"""Metrics are averaged over the steps since the last report, and a loss that is not finite stops the run."""

import jax.numpy as jnp
import pytest

from dnr_jax.progress import STEPS_IN_FLIGHT, Progress
from dnr_jax.reporting import Reporter


class Heard(Reporter):
    """A reporter that remembers."""

    def __init__(self):
        self.lines, self.values = [], []

    def line(self, text):
        self.lines.append(text)

    def scalars(self, step, kind, values):
        self.values.append((step, kind, values))


def metrics(loss):
    return {'loss': jnp.float32(loss), 'top1': jnp.float32(0.25)}


def test_report():
    heard = Heard()
    progress = Progress(heard, lambda step: 0.1 * step, last_step=40, steps_per_epoch=20, clips_per_step=8)
    progress.first_step(1, metrics(4.0))
    for step, loss in ((2, 2.0), (3, 3.0)):
        with progress.waiting_for_data():
            pass
        progress.step(step, metrics(loss))
    progress.report(3)
    step, kind, values = heard.values[0]
    assert (step, kind, values['loss'], values['top1']) == (3, 'train', 3.0, 0.25)
    assert values['learning_rate'] == pytest.approx(0.2)  # of the update that made step 3
    assert values['clips_per_second'] > 0 and 0 <= values['waiting_share'] <= 1
    assert 'step      3/40' in heard.lines[-1] and 'loss 3.0000' in heard.lines[-1] and 'left' in heard.lines[-1]
    progress.step(4, metrics(7.0))
    progress.report(4)
    assert heard.values[1][2]['loss'] == 7.0


def test_pause_does_not_count(monkeypatch):
    now = [0.0]
    monkeypatch.setattr('time.monotonic', lambda: now[0])
    heard = Heard()
    progress = Progress(heard, lambda step: 0.1, last_step=4, steps_per_epoch=2, clips_per_step=8)
    progress.first_step(1, metrics(1.0))
    now[0] += 2
    progress.step(2, metrics(1.0))
    with progress.pause():
        now[0] += 100
    progress.report(2)
    assert heard.values[0][2]['clips_per_second'] == 4
    assert 'left 0:04' in heard.lines[-1]


def test_not_finite_stops_soon_and_names_the_step():
    progress = Progress(Heard(), lambda step: 0.1, last_step=9, steps_per_epoch=2, clips_per_step=8)
    progress.first_step(1, metrics(1.0))
    progress.step(2, metrics(float('nan')))
    with pytest.raises(FloatingPointError, match='at step 2'):
        for step in range(3, 4 + STEPS_IN_FLIGHT):
            progress.step(step, metrics(1.0))
