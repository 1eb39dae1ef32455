"""The released schedule on its published values, and the order of an update on numbers computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import kinetics400
from dnr_jax import optimizers

STEPS_PER_EPOCH = 3757

# Learning rates of the released recipe at the first step of an epoch.
RELEASED = {
    0: 0.0010, 1: 0.003909, 5: 0.01552, 10: 0.02990, 20: 0.05768, 30: 0.08328, 33: 0.09038, 34: 0.09268,
    35: 0.09234, 50: 0.08478, 98: 0.05, 150: 0.01299, 190: 2.31e-4, 195: 6.42e-6,
}  # fmt: skip


@pytest.fixture(scope='module')
def released():
    config = kinetics400.get_config()
    return optimizers.learning_rate(**config.schedule, steps_per_epoch=STEPS_PER_EPOCH, epochs=config.train.epochs)


@pytest.mark.parametrize('epoch', RELEASED)
def test_released_schedule(released, epoch):
    assert float(released(epoch * STEPS_PER_EPOCH)) == pytest.approx(RELEASED[epoch], rel=2e-3)


def test_peak_of_the_released_schedule(released):
    assert max(float(released(e * STEPS_PER_EPOCH + s)) for e in (33, 34) for s in (0, 100, 3756)) == pytest.approx(
        0.0931, abs=1e-4
    )


def test_cosine_falls_by_epoch_or_by_step():
    options = {'learning_rate': 1.0, 'warmup_steps': 0, 'warmup_start': 0.1, 'steps_per_epoch': 10, 'epochs': 4}
    by_epoch = optimizers.learning_rate(**options, cosine_by='epoch')
    by_step = optimizers.learning_rate(**options, cosine_by='step')
    assert float(by_epoch(19)) == pytest.approx(0.5 * (1 + np.cos(np.pi / 4)))
    assert float(by_step(20)) == pytest.approx(0.5)
    assert float(by_step(40)) == pytest.approx(0.0, abs=1e-7)


def test_schedule_is_the_same_inside_a_jitted_step(released):
    np.testing.assert_allclose(jax.jit(released)(jnp.int32(5000)), released(5000), rtol=1e-6)


def test_unknown_cosine_by():
    with pytest.raises(ValueError, match="'epoch'"):
        optimizers.learning_rate(
            learning_rate=1.0, warmup_steps=1, warmup_start=0.0, cosine_by='epochs', steps_per_epoch=1, epochs=1
        )


def test_order_of_an_update():
    """Clip to norm 5, add decay 0.1 * parameter, momentum 0.5, times -0.1; two steps by hand."""
    optimizer = optimizers.sgd(lambda step: 0.1, momentum=0.5, nesterov=False, weight_decay=0.1, clip_norm=5.0)
    params, grads = {'w': jnp.array([1.0, 2.0])}, {'w': jnp.array([6.0, 8.0])}
    state = optimizer.init(params)
    updates, state = optimizer.update(grads, state, params)
    first = np.array([3.0 + 0.1, 4.0 + 0.2])  # norm 10 clipped to 5, then decay
    np.testing.assert_allclose(updates['w'], -0.1 * first, rtol=1e-6)
    updates, _ = optimizer.update(grads, state, params)
    np.testing.assert_allclose(updates['w'], -0.1 * (first + 0.5 * first), rtol=1e-6)


def test_every_parameter_decays():
    optimizer = optimizers.sgd(lambda step: 1.0, momentum=0.0, nesterov=False, weight_decay=0.1, clip_norm=1.0)
    params = {'norm': {'scale': jnp.ones(3), 'shift': jnp.ones(3)}, 'kernel': jnp.ones((2, 3))}
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    for leaf in jax.tree.leaves(updates):
        np.testing.assert_allclose(leaf, -0.1, rtol=1e-6)
