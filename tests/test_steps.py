"""One step over several devices is what the same devices would do one by one, averaged."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import base
from dnr_jax import metrics, models, parallel, steps
from dnr_jax.state import TrainState, create_state

PIXELS = {'mean': (120.0, 110.0, 100.0), 'std': (60.0, 50.0, 40.0)}
SHAPE = (4, 4, 16, 16, 3)  # two clips on each of two devices


def make_batch(seed=0):
    rng = np.random.default_rng(seed)
    return {
        'clip': rng.integers(0, 256, SHAPE, np.uint8),
        'label': np.array([0, 1, 2, 3], np.int32),
        'mask': np.ones(4, bool),
    }


@pytest.fixture(scope='module')
def model():
    config = base.get_config('resnet18,dnr')
    config.model.width, config.model.dropout = 4, 0.0
    return models.build(**config.model.to_dict(), classes=4)


@pytest.fixture(scope='module')
def stepped(model):
    """(state before, batch, state after one step on two devices, metrics)."""
    mesh = parallel.make_mesh()
    assert mesh.size == 2
    optimizer = optax.sgd(0.1, momentum=0.9)
    state = create_state(jax.random.key(0), model=model, optimizer=optimizer, clip_shape=(1, *SHAPE[1:]))
    step = parallel.compile_train_step(
        partial(steps.train_step, model=model, optimizer=optimizer, pixels=PIXELS, seed=0, axis=parallel.AXIS), mesh
    )
    batch = make_batch()
    given_up = jax.device_put(jax.tree.map(jnp.copy, state), parallel.replicated(mesh))
    after, averages = step(given_up, parallel.place(batch, mesh))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(given_up.params))
    return state, batch, after, averages


def test_pixels_by_hand():
    clip = jnp.array([[[[[180, 60, 100]]]]], jnp.uint8)
    np.testing.assert_allclose(steps.normalize_pixels(clip, **PIXELS)[0, 0, 0, 0], [1.0, -1.0, 0.0])


def test_two_devices_are_two_runs_averaged(model, stepped):
    state, batch, after, averages = stepped

    @jax.jit
    def alone(params, clip, label):
        def loss_of(params):
            logits, updated = model.apply(
                state.variables | {'params': params},
                steps.normalize_pixels(clip, **PIXELS),
                train=True,
                mutable=['batch_stats'],
                rngs={'dropout': jax.random.key(0)},
            )
            return metrics.cross_entropy(logits, label).mean(), updated['batch_stats']

        return jax.value_and_grad(loss_of, has_aux=True)(params)

    runs = [alone(state.params, batch['clip'][rows], batch['label'][rows]) for rows in (slice(0, 2), slice(2, 4))]
    ((losses, stats), grads) = zip(*(run[0] for run in runs), strict=True), [run[1] for run in runs]
    np.testing.assert_allclose(averages['loss'], np.mean(losses), rtol=1e-5)
    assert_close(after.batch_stats, jax.tree.map(lambda a, b: (a + b) / 2, *stats))
    expected = jax.tree.map(lambda p, a, b: p - 0.1 * (a + b) / 2, state.params, *grads)
    assert_close(after.params, expected)
    assert after.step == 1


def assert_close(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)


def test_all_devices_hold_the_same_state(stepped):
    for leaf in jax.tree.leaves(stepped[2]):
        first, second = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        np.testing.assert_array_equal(first, second)


def test_dropout_differs_by_step_and_device():
    class Dropped(nn.Module):
        @nn.compact
        def __call__(self, clip, train):
            kept = nn.Dropout(0.5, deterministic=not train)(jnp.ones((len(clip), 64)))
            self.sow('batch_stats', 'kept', kept.mean(axis=0), reduce_fn=lambda old, new: new, init_fn=lambda: None)
            return kept @ self.param('w', nn.initializers.ones, (64, 4))

    model, optimizer = Dropped(), optax.sgd(0.0)
    params = {'w': jnp.ones((64, 4))}
    local = {name: rows[:2] for name, rows in make_batch().items()}

    def kept(step, device, seed):
        state = TrainState(jnp.int32(step), params, {'kept': jnp.zeros(64)}, optimizer.init(params))
        run = jax.vmap(
            partial(steps.train_step, model=model, optimizer=optimizer, pixels=PIXELS, seed=seed, axis='x'),
            in_axes=(None, 0), axis_name='x',
        )  # fmt: skip
        loss = run(state, jax.tree.map(lambda rows: np.stack([rows, rows]), local))[1]['loss']
        return float(loss[device])

    assert kept(0, 0, 0) == kept(0, 0, 0)
    assert kept(0, 0, 0) != kept(1, 0, 0)
    assert kept(0, 0, 0) != kept(0, 0, 1)


def test_views_are_averaged(model):
    variables = model.init(jax.random.key(0), jnp.zeros((1, *SHAPE[1:])), train=False)
    clip = np.random.default_rng(0).integers(0, 256, (2, 3, *SHAPE[1:]), np.uint8)  # [B V T H W C]
    predict = jax.jit(partial(steps.eval_step, model=model, pixels=PIXELS))
    logits = predict(variables, {'clip': clip})
    one_by_one = [predict(variables, {'clip': clip[:, v : v + 1]}) for v in range(3)]
    np.testing.assert_allclose(logits, np.mean(one_by_one, axis=0), rtol=1e-4, atol=1e-6)
