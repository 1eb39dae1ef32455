"""The released schedule on its published values; other schedules, updates and groups on numbers computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from configs import kinetics400, tsn
from dnr_jax import parallel
from dnr_jax.training import optimizers

STEPS_PER_EPOCH = 3757

# Learning rates of the released recipe at the first step of an epoch.
RELEASED = {
    0: 0.0010, 1: 0.003909, 5: 0.01552, 10: 0.02990, 20: 0.05768, 30: 0.08328, 33: 0.09038, 34: 0.09268,
    35: 0.09234, 50: 0.08478, 98: 0.05, 150: 0.01299, 190: 2.31e-4, 195: 6.42e-6,
}  # fmt: skip

SCHEDULE = {
    'learning_rate': 1.0, 'decay': 'constant', 'milestones': (), 'gamma': 0.1, 'fall_by': 'epoch', 'warmup_steps': 0,
    'warmup_start': 0.1, 'steps_per_epoch': 10, 'epochs': 4,
}  # fmt: skip
SGD = {
    'name': 'sgd', 'momentum': 0.0, 'nesterov': False, 'second_momentum': 0.999, 'epsilon': 1e-8, 'weight_decay': 0.0,
    'clip_norm': 0.0, 'groups': (), 'frozen': (),
}  # fmt: skip
ADAMW = SGD | {'name': 'adamw', 'momentum': 0.5, 'second_momentum': 0.75, 'epsilon': 1e-3}
PARAMS = {
    'stage1': {'conv1': {'kernel': jnp.full((1, 2), 2.0)}, 'norm1': {'scale': jnp.ones(2), 'shift': jnp.ones(2)}},
    'head': {'linear': {'kernel': jnp.full((2, 2), 2.0), 'bias': jnp.ones(2)}},
    'relay': {'bias': jnp.ones(3)},
}


def make_schedule(**changes):
    return optimizers.learning_rate(**SCHEDULE | changes)


def turns(**changes):
    """The milestones of that schedule."""
    names = ('decay', 'milestones', 'warmup_steps', 'steps_per_epoch', 'epochs')
    settings = {name: (SCHEDULE | changes)[name] for name in names}
    return optimizers.learning_rate_milestones(make_schedule(**changes), **settings)


def make_sgd(learning_rate=1.0, **changes):
    return optimizers.make(lambda step: learning_rate, **SGD | changes)


def updates_of(optimizer, grads, params, steps=1):
    """The update of the last of some steps on the same gradients and parameters."""
    state = optimizer.init(params)
    for _ in range(steps):
        updates, state = optimizer.update(grads, state, params)
    return updates


def by_path(tree):
    """The first number of every leaf, by the path that patterns see."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {optimizers.parameter_path(path): float(leaf.ravel()[0]) for path, leaf in leaves}


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
    by_epoch, by_step = (make_schedule(decay='cosine', fall_by=fall_by) for fall_by in ('epoch', 'step'))
    assert float(by_epoch(19)) == pytest.approx(0.5 * (1 + np.cos(np.pi / 4)))
    assert float(by_step(20)) == pytest.approx(0.5)
    assert float(by_step(40)) == pytest.approx(0.0, abs=1e-7)


def test_steps_fall_at_milestones():
    schedule = make_schedule(decay='steps', milestones=(1, 3), gamma=0.1)
    rates = [schedule(step) for step in (0, 9, 10, 29, 30, 39)]
    np.testing.assert_allclose(rates, [1, 1, 0.1, 0.1, 0.01, 0.01], rtol=1e-6)


def test_warmup_multiplies_what_falls():
    schedule = make_schedule(decay='steps', milestones=(1,), gamma=0.5, warmup_steps=20, warmup_start=0.2)
    rates = [schedule(step) for step in (0, 5, 10, 20, 39)]
    np.testing.assert_allclose(rates, [0.2, 0.4, 0.5 * 0.6, 0.5, 0.5], rtol=1e-6)


def test_constant_without_warmup():
    assert [float(make_schedule()(step)) for step in (0, 1, 39)] == [1, 1, 1]


@pytest.mark.parametrize('changes', [{'decay': 'steps', 'milestones': (1, 2)}, {'decay': 'constant'}], ids=str)
def test_schedules_are_the_same_inside_a_jitted_step(changes):
    schedule = make_schedule(**changes, warmup_steps=15)
    for step in (0, 12, 25):
        np.testing.assert_allclose(jax.jit(schedule)(jnp.int32(step)), float(schedule(step)), rtol=1e-6)


def test_released_schedule_is_the_same_inside_a_jitted_step(released):
    np.testing.assert_allclose(jax.jit(released)(jnp.int32(5000)), released(5000), rtol=1e-6)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'fall_by': 'epochs'}, "Unknown fall_by 'epochs'.*'epoch'"),
        ({'decay': 'step'}, "Unknown decay 'step'.*'steps'"),
        ({'decay': 'steps', 'milestones': (2, 1)}, r'between 1 and 3, got \(2, 1\)'),
        ({'decay': 'steps', 'milestones': (2, 2)}, r'got \(2, 2\)'),
        ({'decay': 'steps', 'milestones': (0, 2)}, r'got \(0, 2\)'),
        ({'decay': 'steps', 'milestones': (2, 4)}, r'got \(2, 4\)'),
        ({'decay': 'steps', 'milestones': ()}, r'got \(\)'),
    ],
)
def test_mistakes_in_a_schedule(changes, message):
    with pytest.raises(ValueError, match=message):
        make_schedule(**changes)


def test_milestones_of_schedules():
    half = 0.5 * (1 + np.cos(np.pi / 4))
    for found, expected in (
        (turns(), [(0, 1), (39, 1)]),
        (turns(milestones=(9,), warmup_steps=50), [(0, 0.1), (39, 0.1 + 0.9 * 39 / 50)]),  # never reached
        (
            turns(decay='steps', milestones=(1, 3), warmup_steps=5),
            [(0, 0.1), (5, 1), (10, 0.1), (30, 0.01), (39, 0.01)],
        ),
        (turns(decay='cosine'), [(0, 1), (10, half), (20, 0.5), (30, 1 - half), (39, 1 - half)]),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_order_of_an_update():
    """Clip to norm 5, add decay 0.1 * parameter, momentum 0.5, times -0.1; two steps by hand."""
    optimizer = make_sgd(0.1, momentum=0.5, weight_decay=0.1, clip_norm=5.0)
    params, grads = {'w': jnp.array([1.0, 2.0])}, {'w': jnp.array([6.0, 8.0])}
    first = np.array([3.0 + 0.1, 4.0 + 0.2])  # norm 10 clipped to 5, then decay
    np.testing.assert_allclose(updates_of(optimizer, grads, params)['w'], -0.1 * first, rtol=1e-6)
    np.testing.assert_allclose(updates_of(optimizer, grads, params, steps=2)['w'], -0.1 * 1.5 * first, rtol=1e-6)


def test_every_parameter_decays():
    updates = updates_of(make_sgd(weight_decay=0.1), jax.tree.map(jnp.zeros_like, PARAMS), PARAMS)
    for update, param in zip(jax.tree.leaves(updates), jax.tree.leaves(PARAMS), strict=True):
        np.testing.assert_allclose(update, -0.1 * param, rtol=1e-6)


@pytest.mark.parametrize('nesterov', [False, True])
def test_without_groups_it_is_plain_sgd_bit_for_bit(nesterov):
    plain = optax.chain(
        optax.clip_by_global_norm(3.0),
        optax.add_decayed_weights(1e-4),
        optax.trace(decay=0.9, nesterov=nesterov),
        optax.scale_by_learning_rate(lambda step: 0.1 / (step + 1)),
    )
    options = SGD | {'momentum': 0.9, 'nesterov': nesterov, 'weight_decay': 1e-4, 'clip_norm': 3.0}
    ours = optimizers.make(lambda step: 0.1 / (step + 1), **options)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), PARAMS)
    states = [plain.init(params), ours.init(params)]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    for _ in range(3):
        grads = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), params)
        (expected, states[0]), (updates, states[1]) = (
            jax.jit(optimizer.update)(grads, state, params)
            for optimizer, state in zip((plain, ours), states, strict=True)
        )
        jax.tree.map(np.testing.assert_array_equal, updates, expected)
    jax.tree.map(np.testing.assert_array_equal, *states)


def test_adamw_by_hand():
    """Two steps of gradients 3 and 1, betas 0.5 and 0.75, decay 0.1 of a parameter of 2, rate 0.1."""
    optimizer = optimizers.make(lambda step: 0.1, **ADAMW | {'weight_decay': 0.1})
    params = {'w': jnp.array([2.0])}
    state = optimizer.init(params)
    first, state = optimizer.update({'w': jnp.array([3.0])}, state, params)
    second, _ = optimizer.update({'w': jnp.array([1.0])}, state, params)
    np.testing.assert_allclose(first['w'], [-0.1 * (3 / (3 + 1e-3) + 0.2)], rtol=1e-5)
    mean, square = (0.5 * 1.5 + 0.5 * 1) / (1 - 0.5**2), (0.75 * 2.25 + 0.25 * 1) / (1 - 0.75**2)
    np.testing.assert_allclose(second['w'], [-0.1 * (mean / (square**0.5 + 1e-3) + 0.2)], rtol=1e-5)


@pytest.mark.parametrize('nesterov', [False, True])
def test_without_groups_it_is_the_adamw_of_optax(nesterov):
    plain = optax.adamw(lambda step: 0.1 / (step + 1), 0.5, 0.75, 1e-3, weight_decay=0.05, nesterov=nesterov)
    ours = optimizers.make(lambda step: 0.1 / (step + 1), **ADAMW | {'weight_decay': 0.05, 'nesterov': nesterov})
    states = [plain.init(PARAMS), ours.init(PARAMS)]
    for step in range(3):
        grads = jax.tree.map(lambda leaf, step=step: jnp.sin(leaf + step), PARAMS)
        (expected, states[0]), (updates, states[1]) = (
            optimizer.update(grads, state, PARAMS) for optimizer, state in zip((plain, ours), states, strict=True)
        )
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), updates, expected)


def test_adamw_with_groups_frozen_parameters_and_a_bound_of_the_norm():
    """A group multiplies what AdamW makes of gradients, which takes their size away; decay is multiplied apart."""
    changes = {'weight_decay': 0.5, 'groups': tsn.GROUPS, 'frozen': ('^stage1/conv1',), 'clip_norm': 1.0}
    optimizer = optimizers.make(lambda step: 0.1, **ADAMW | changes | {'epsilon': 1e-12})
    updates = by_path(updates_of(optimizer, jax.tree.map(jnp.ones_like, PARAMS), PARAMS, steps=2))
    expected = {
        'stage1/conv1/kernel': 0, 'stage1/norm1/scale': 1, 'stage1/norm1/shift': 1, 'head/linear/kernel': 5 * (1 + 1),
        'head/linear/bias': 10, 'relay/bias': 2,
    }  # fmt: skip
    assert updates == pytest.approx({path: -0.1 * value for path, value in expected.items()}, rel=1e-4)


def test_an_unknown_optimizer():
    with pytest.raises(ValueError, match="Unknown optimizer 'adam'. Did you mean 'adamw'"):
        make_sgd(name='adam')


def test_clip_norm_zero_does_not_clip():
    grads = {'w': jnp.array([3e3, 4e3])}
    np.testing.assert_array_equal(updates_of(make_sgd(), grads, grads)['w'], -grads['w'])
    np.testing.assert_allclose(updates_of(make_sgd(clip_norm=1.0), grads, grads)['w'], [-0.6, -0.8], rtol=1e-6)


def test_groups_of_the_tsn_family():
    """Gradients 1, decay 0.5: weights of 2 decay by 1, momentum 0.5 makes it 1.5-fold at the second step."""
    optimizer = make_sgd(0.1, momentum=0.5, weight_decay=0.5, groups=tsn.GROUPS)
    expected = {
        'stage1/conv1/kernel': 2, 'stage1/norm1/scale': 1, 'stage1/norm1/shift': 1, 'head/linear/kernel': 5 * 2,
        'head/linear/bias': 10, 'relay/bias': 2,
    }  # fmt: skip
    updates = by_path(updates_of(optimizer, jax.tree.map(jnp.ones_like, PARAMS), PARAMS, steps=2))
    assert updates == pytest.approx({path: -0.1 * 1.5 * value for path, value in expected.items()})


def test_first_group_that_fits_wins_and_configs_can_say_it():
    config = ConfigDict({'groups': (('head', 3.0, 1.0), ('bias', 7.0, 1.0))})
    updates = by_path(updates_of(make_sgd(**config), jax.tree.map(jnp.ones_like, PARAMS), PARAMS))
    assert (updates['head/linear/bias'], updates['relay/bias'], updates['stage1/norm1/scale']) == (-3, -7, -1)


def test_groups_are_clipped_together_before_they_are_multiplied():
    grads = {'a': jnp.array([3.0]), 'b': jnp.array([4.0])}
    updates = by_path(updates_of(make_sgd(clip_norm=1.0, groups=(('a', 10.0, 1.0),)), grads, grads))
    assert updates == pytest.approx({'a': -6, 'b': -0.8})


def test_frozen_parameters_stay_and_do_not_count_in_the_norm():
    optimizer = make_sgd(momentum=0.9, weight_decay=0.1, clip_norm=5.0, frozen=('^stem', 'scale$'))
    params = {'stem': jnp.ones(2), 'norm': {'scale': jnp.ones(1)}, 'head': jnp.zeros(2)}
    grads = {'stem': jnp.array([1e6, jnp.nan]), 'norm': {'scale': jnp.ones(1)}, 'head': jnp.array([6.0, 8.0])}
    updates = updates_of(optimizer, grads, params, steps=2)
    np.testing.assert_array_equal(updates['stem'], [0, 0])
    np.testing.assert_array_equal(updates['norm']['scale'], [0])
    np.testing.assert_allclose(updates['head'], [-1.9 * 3, -1.9 * 4], rtol=1e-6)
    assert all(leaf.shape in ((), (2,)) for leaf in jax.tree.leaves(optimizer.init(params)))  # no momentum of scale


def test_state_with_groups_and_frozen_passes_through_a_donating_step():
    optimizer = make_sgd(momentum=0.9, groups=tsn.GROUPS, frozen=('^stage1',))
    state = jax.eval_shape(optimizer.init, PARAMS)
    after = jax.eval_shape(lambda params, state: optimizer.update(params, state, params)[1], PARAMS, state)
    assert state == after
    mesh = parallel.make_mesh()
    whole = jax.sharding.PartitionSpec()
    step = jax.shard_map(optimizer.update, mesh=mesh, in_specs=whole, out_specs=whole, check_vma=False)
    grads = jax.tree.map(jnp.ones_like, PARAMS)
    updates, _ = jax.jit(step, donate_argnums=1)(grads, optimizer.init(PARAMS), PARAMS)
    assert by_path(updates)['head/linear/bias'] == -10 and by_path(updates)['stage1/norm1/scale'] == 0


@pytest.mark.parametrize('changes', [{'groups': (('haed/linear', 5.0, 1.0),)}, {'frozen': ('^head', 'haed/linear')}])
def test_pattern_that_fits_nothing(changes):
    with pytest.raises(ValueError, match="'haed/linear' .* fits no parameter.*: head/linear/"):
        jax.eval_shape(make_sgd(**changes).init, PARAMS)
