"""One step over several devices is what the same devices would do one by one, averaged."""

from functools import cache, partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import base
from dnr_jax import models, parallel
from dnr_jax.evaluation import metrics
from dnr_jax.evaluation.eval_step import eval_step
from dnr_jax.models.pixels import normalize_pixels
from dnr_jax.runs.state import TrainState, create_state
from dnr_jax.training import train_step
from dnr_jax.training.setup import with_frozen_statistics

PIXELS = {'mean': (120.0, 110.0, 100.0), 'std': (60.0, 50.0, 40.0)}
SETTINGS = {
    'pixels': PIXELS, 'regularization': {'label_smoothing': 0.0, 'mixup': 0.0, 'cutmix': 0.0}, 'classes': 4,
    'class_weights': None,     'micro_batches': 1, 'ema_decay': 0.0, 'skip_not_finite': False, 'seed': 0,
}  # fmt: skip
OPTIMIZER = optax.sgd(0.1, momentum=0.9)
SHAPE = (4, 4, 16, 16, 3)  # two clips on each of two devices


def make_batch(seed=0):
    rng = np.random.default_rng(seed)
    return {
        'clip': rng.integers(0, 256, SHAPE, np.uint8),
        'label': np.array([0, 1, 2, 3], np.int32),
        'mask': np.ones(4, bool),
        'damaged': np.array([0, 2, 0, 1], np.int32),
    }


def make_model(statistics_scope='device', norms='dnr', blocks=(1, 1)):
    config = base.get_config(f'resnet18,{norms}')
    config.model.width, config.model.dropout = 4, 0.0
    config.model.norm.statistics_scope = statistics_scope
    return models.build(**config.model.to_dict(), classes=4).clone(blocks=blocks)  # which compiles fast


@pytest.fixture(scope='module')
def model():
    return make_model()


@pytest.fixture(scope='module')
def plain():
    """One block and no relay, for what is done around any network."""
    return make_model(norms='batch', blocks=(1,))


def make_mesh(devices):
    """Of so many of the devices."""
    return parallel.make_mesh(jax.devices()[:devices])


@cache
def initial(norms, blocks):
    """A state before its first step, whatever the scope of statistics; drawing it compiles as long as the step."""
    model = make_model(norms=','.join(norms), blocks=blocks)
    create = partial(create_state, model=model, optimizer=OPTIMIZER, clip_shape=(1, *SHAPE[1:]), averaged=True)
    return jax.jit(create)(jax.random.key(0))


def take_step(model, devices, batch, averaged=False, **settings):
    """(state before, state after one step on so many devices, metrics)."""
    mesh = make_mesh(devices)
    state = initial(model.norms, model.blocks)
    state = state if averaged else state.replace(average={})
    step = partial(train_step.train_step, model=model, optimizer=OPTIMIZER, **SETTINGS | settings)
    given_up = jax.device_put(jax.tree.map(jnp.copy, state), parallel.replicated(mesh))
    after, averages = parallel.compile_train_step(step, mesh)(given_up, parallel.place(batch, mesh))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(given_up.params))
    return state, after, averages


@pytest.fixture(scope='module')
def stepped(model):
    """(state before, batch, state after one step on two devices, metrics)."""
    state, after, averages = take_step(model, 2, make_batch())
    return state, make_batch(), after, averages


def test_pixels_by_hand():
    clip = jnp.array([[[[[180, 60, 100]]]]], jnp.uint8)
    np.testing.assert_allclose(normalize_pixels(clip, **PIXELS)[0, 0, 0, 0], [1.0, -1.0, 0.0])


def test_with_frozen_statistics_a_step_trains_what_evaluation_scores():
    model, batch = make_model(blocks=(1,)), make_batch()
    state, after, averages = take_step(with_frozen_statistics(model), 1, batch)
    clip = normalize_pixels(jnp.asarray(batch['clip']), **PIXELS)
    scored = jax.jit(partial(model.apply, train=False))(state.variables, clip)
    np.testing.assert_allclose(
        averages['loss'], metrics.cross_entropy(scored, jnp.asarray(batch['label'])).mean(), rtol=1e-5
    )
    jax.tree.map(np.testing.assert_array_equal, after.batch_stats, state.batch_stats)
    assert np.all(after.params['conv_stem']['kernel'] != state.params['conv_stem']['kernel'])


def test_two_devices_are_two_runs_averaged(model, stepped):
    state, batch, after, averages = stepped

    @jax.jit
    def alone(params, clip, label):
        def loss_of(params):
            logits, updated = model.apply(
                state.variables | {'params': params},
                normalize_pixels(clip, **PIXELS),
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


def test_sets_of_clips_on_one_device_are_devices(stepped):
    """Two clips per statistic: two devices with two clips each, and one device with four in sets of two."""
    _, batch, after, averages = stepped
    _, in_sets, of_sets = take_step(make_model('2'), 1, batch)
    assert_close((in_sets.params, in_sets.batch_stats), (after.params, after.batch_stats))
    np.testing.assert_allclose(of_sets['loss'], averages['loss'], rtol=1e-5)
    assert_close(of_sets['gradient_norm'], averages['gradient_norm'])


def test_global_statistics_on_two_devices_are_those_of_one(model):
    batch = make_batch()
    _, one, of_one = take_step(model, 1, batch)
    _, two, of_two = take_step(make_model('global'), 2, batch)
    assert_close((one.params, one.batch_stats), (two.params, two.batch_stats))
    assert_close(of_one['gradient_norm'], of_two['gradient_norm'])


def test_micro_batches_are_sets_of_clips_one_after_the_other(model, stepped):
    """The gradient is that of clips in sets; running statistics move once for each set."""
    state, batch, after, averages = stepped
    _, accumulated, of_parts = take_step(model, 1, batch, micro_batches=2)
    assert_close(accumulated.params, after.params)
    np.testing.assert_allclose(of_parts['loss'], averages['loss'], rtol=1e-5)
    moved = accumulated.batch_stats['norm_stem']['statistics']['mean']
    once = after.batch_stats['norm_stem']['statistics']['mean']
    assert np.abs(moved).sum() > 1.5 * np.abs(once).sum()


def test_an_update_that_is_not_finite_is_left_out(plain):
    state, after, averages = take_step(
        plain, 2, make_batch(), pixels=PIXELS | {'mean': (float('nan'), 0.0, 0.0)}, skip_not_finite=True
    )
    for kept, was in ((after.params, state.params), (after.batch_stats, state.batch_stats)):
        jax.tree.map(np.testing.assert_array_equal, kept, was)
    assert (int(after.step), int(after.skipped), int(averages['skipped'])) == (1, 1, 1)
    assert int(after.damaged) == int(averages['damaged']) == 3  # counted even then


def test_the_average_of_parameters_follows_them(plain):
    state, after, _ = take_step(plain, 2, make_batch(), averaged=True, ema_decay=0.75)
    expected = jax.tree.map(lambda old, new: 0.75 * old + 0.25 * new, state.params, after.params)
    assert_close(after.average, expected)
    assert after.variables['params'] is after.average


def test_smoothed_and_mixed_labels_change_the_loss_and_not_the_accuracy(plain):
    _, _, averages = take_step(plain, 2, make_batch())
    smooth = {'label_smoothing': 0.5, 'mixup': 0.0, 'cutmix': 0.0}
    _, _, smoothed = take_step(plain, 2, make_batch(), regularization=smooth)
    assert smoothed['top1'] == averages['top1'] and abs(smoothed['loss'] - averages['loss']) > 1e-5
    mixing = {'label_smoothing': 0.0, 'mixup': 1.0, 'cutmix': 0.0}
    _, _, mixed = take_step(plain, 2, make_batch(), regularization=mixing)
    assert abs(mixed['loss'] - averages['loss']) > 1e-5


def test_class_weights_weigh_the_losses(plain):
    """Of one video of each class on two devices: the weighted loss is the mean of each loss times its weight."""
    losses = []
    for label in range(4):
        alone = tuple(4.0 * (other == label) for other in range(4))
        losses.append(float(take_step(plain, 2, make_batch(), class_weights=alone)[2]['loss']))
    _, after, averages = take_step(plain, 2, make_batch(), class_weights=(0.5, 2.0, 0.0, 1.5))
    np.testing.assert_allclose(averages['loss'], np.dot(losses, [0.5, 2.0, 0.0, 1.5]) / 4, rtol=1e-5)
    _, unweighted, whole = take_step(plain, 2, make_batch())
    np.testing.assert_allclose(whole['loss'], np.mean(losses), rtol=1e-5)
    assert not np.allclose(after.params['head']['linear']['bias'], unweighted.params['head']['linear']['bias'])


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
    params = {'w': jnp.arange(256.0).reshape(64, 4) / 1000}
    local = {name: rows[:2] for name, rows in make_batch().items()}

    @cache
    def on_two_devices(seed):
        step = partial(train_step.train_step, model=model, optimizer=optimizer, **SETTINGS | {'seed': seed})
        return jax.jit(jax.vmap(step, in_axes=(None, 0), axis_name=parallel.CLIPS_AXIS))

    def kept(step, device, seed):
        count = jnp.int32(step)
        state = TrainState(
            count, params, {}, {'kept': jnp.zeros(64)}, optimizer.init(params), skipped=count, damaged=count
        )
        loss = on_two_devices(seed)(state, jax.tree.map(lambda rows: np.stack([rows, rows]), local))[1]['loss']
        return float(loss[device])

    assert kept(0, 0, 0) == kept(0, 0, 0)
    assert kept(0, 0, 0) != kept(1, 0, 0)
    assert kept(0, 0, 0) != kept(0, 0, 1)


class Wide(nn.Module):
    """Keeps a large array for every clip, for nothing is fused with a sort, and compiles fast."""

    @nn.compact
    def __call__(self, clip, train):
        features = jnp.sort(jnp.sin(nn.Dense(256)(clip))).mean(axis=(1, 2, 3))
        return nn.Dense(4)(features)


@pytest.fixture(scope='module')
def views(random_variables):
    """(variables, batch of five views of four videos, their logits)."""
    variables = random_variables(Wide(), jnp.zeros((1, *SHAPE[1:])), train=False)
    batch = {'clip': np.random.default_rng(0).integers(0, 256, (4, 5, *SHAPE[1:]), np.uint8)}  # [B V T H W C]
    return variables, batch, predict(variables, batch, devices=1, views_at_once=0)


def predict(variables, batch, devices, views_at_once):
    mesh = make_mesh(devices)
    step = partial(eval_step, model=Wide(), pixels=PIXELS, views_at_once=views_at_once)
    return np.asarray(parallel.compile_eval_step(step, mesh)(variables, parallel.place(batch, mesh)))


def test_every_view_has_its_logits(views):
    variables, batch, logits = views
    for video, view in ((0, 0), (1, 2), (3, 1)):
        clip = normalize_pixels(jnp.asarray(batch['clip'][video, view][None]), **PIXELS)
        alone = Wide().apply(variables, clip, train=False)[0]
        np.testing.assert_allclose(logits[video, view], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(('devices', 'views_at_once'), [(1, 1), (1, 3), (1, 10), (2, 3), (1, 100)])
def test_views_in_parts_are_views_at_once(views, devices, views_at_once):
    """With a last part that is full, or padded, on one device and on two."""
    variables, batch, logits = views
    found = predict(variables, batch, devices, views_at_once)
    assert found.shape == (4, 5, 4)
    np.testing.assert_allclose(found, logits, rtol=1e-6, atol=1e-6)


def test_views_in_parts_take_less_memory(views):
    variables, batch, _ = views

    def memory(views_at_once):
        step = jax.jit(partial(eval_step, model=Wide(), pixels=PIXELS, views_at_once=views_at_once))
        return step.lower(variables, batch).compile().memory_analysis().temp_size_in_bytes

    assert memory(views_at_once=3) < 0.3 * memory(views_at_once=0)
