"""Precise statistics against NumPy, against the update of a training step, and of one hop against all."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from configs import base
from dnr_jax import models, parallel
from dnr_jax.evaluation import precise_statistics
from dnr_jax.models.pixels import normalize_pixels
from dnr_jax.models.resnet import BasicBlock, resnet
from dnr_jax.norms.relay import zero_carry
from dnr_jax.norms.words import make_norm
from dnr_jax.statistics_report import drift

PIXELS = {'mean': (120.0, 110.0, 100.0), 'std': (60.0, 50.0, 40.0)}
SHAPE = (4, 4, 16, 16, 3)  # two clips on each of two devices, two hops each


def norm_settings(per_hop):
    return base.get_config().model.norm.to_dict() | {'running_per_hop': per_hop}


class OneNorm(nn.Module):
    """A network whose only statistics are those of the pixels."""

    per_hop: bool

    @nn.compact
    def __call__(self, clip, train):
        norm = make_norm('cross_temporal', cell=None, **norm_settings(self.per_hop) | {'reduction': 1}, name='norm')
        return norm(clip, zero_carry(len(clip), clip.shape[-1]), train)[0].mean(axis=(1, 2, 3))


def tiny_resnet(per_hop):
    """Two blocks with all norms of the method."""
    config = base.get_config('resnet18,dnr').model.to_dict() | {'width': 4, 'norm': norm_settings(per_hop)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.MODELS, 'resnet18', partial(resnet, BasicBlock, (1, 1)))
        return models.build(**config, classes=3)


@pytest.fixture(scope='module')
def batches():
    rng = np.random.default_rng(0)
    return [{'clip': rng.integers(0, 100 * (n + 1), SHAPE, np.uint8)} for n in range(2)]


@pytest.fixture(scope='module')
def variables(random_variables):
    """Of the network whose hops share a running pair."""
    return random_variables(tiny_resnet(False), jnp.zeros(SHAPE), train=False)


@pytest.fixture(scope='module')
def per_hop(variables, batches):
    """Precise statistics of that network, of every hop: what one that keeps them apart is given."""
    observing = precise_statistics.compile_observe(tiny_resnet(False), variables, PIXELS, parallel.make_mesh())
    return precise_statistics.average([
        jax.device_get(observing(variables, parallel.place(batch, parallel.make_mesh()))[1]) for batch in batches
    ])  # fmt: skip


def compute(model, variables, batches):
    return precise_statistics.precise_statistics(model, variables, batches, pixels=PIXELS, mesh=parallel.make_mesh())


@pytest.mark.parametrize('per_hop', [False, True])
def test_by_hand(batches, random_variables, per_hop):
    """Mean and unbiased variance of every device's clips in every hop, averaged over batches, devices and hops."""
    model = OneNorm(per_hop)
    variables = random_variables(model, jnp.zeros(SHAPE), train=False)
    found = compute(model, variables, batches)['norm']['statistics']
    clips = np.stack([(batch['clip'] - np.array(PIXELS['mean'])) / np.array(PIXELS['std']) for batch in batches])
    sets = clips.reshape(4, 2, 2, 2, 16, 16, 3)  # [batch and device, clip, hop, frame, H, W, C]
    expected = {'mean': sets.mean(axis=(1, 3, 4, 5)), 'var': sets.var(axis=(1, 3, 4, 5), ddof=1)}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value.mean(axis=0 if per_hop else (0, 1)), rtol=1e-5)
        assert found[name].dtype == np.float32


def test_average_of_what_training_feeds_the_running_averages(variables, per_hop, batches):
    """A training step from zero leaves (1 - m) s, with a running pair for every hop."""
    model, momentum = tiny_resnet(True), norm_settings(True)['momentum']
    zero = jax.tree.map(lambda value: jnp.zeros_like(squeeze(value)), per_hop)

    @jax.jit
    def train(clip):
        given = {'params': variables['params'], 'batch_stats': zero}
        clip, rngs = normalize_pixels(clip, **PIXELS), {'dropout': jax.random.key(0)}
        return model.apply(given, clip, train=True, mutable=['batch_stats'], rngs=rngs)[1]['batch_stats']

    of_devices = [train(clip) for batch in batches for clip in (batch['clip'][:2], batch['clip'][2:])]
    expected = jax.tree.map(lambda *values: np.mean(values, axis=0) / (1 - momentum), *of_devices)
    for name, value in flatten_dict(expected, sep='/').items():
        np.testing.assert_allclose(squeeze(flatten_dict(per_hop, sep='/')[name]), value, rtol=2e-4, atol=1e-5)


def squeeze(per_group):
    """The shape that a network with `running_per_hop` keeps: [C] where there is one group."""
    return per_group[0] if len(per_group) == 1 else per_group


def test_one_pair_is_the_mean_over_hops(variables, per_hop, batches):
    found = flatten_dict(compute(tiny_resnet(False), variables, batches), sep='/')
    hops = {len(value) for value in jax.tree.leaves(per_hop)}
    assert hops == {1, 2}
    for name, value in flatten_dict(per_hop, sep='/').items():
        np.testing.assert_allclose(found[name], value.mean(axis=0), rtol=1e-6)


def test_every_hop_in_evaluation(variables, per_hop, batches):
    """Given to a network that was trained with one pair, they act as in one with a pair for every hop."""
    clip = normalize_pixels(jnp.asarray(batches[0]['clip']), **PIXELS)
    given = {**variables, 'batch_stats': per_hop}, {**variables, 'batch_stats': jax.tree.map(squeeze, per_hop)}
    shared, apart = (
        jax.jit(partial(tiny_resnet(kept_apart).apply, train=False))(values, clip)
        for kept_apart, values in zip((False, True), given, strict=True)
    )
    np.testing.assert_array_equal(shared, apart)


def test_observed_logits_are_those_of_training_without_dropout(variables, batches):
    model, mesh = tiny_resnet(False), parallel.make_mesh()
    assert model.dropout > 0
    logits, _ = precise_statistics.compile_observe(model, variables, PIXELS, mesh)(
        variables, parallel.place(batches[0], mesh)
    )
    clip = normalize_pixels(jnp.asarray(batches[0]['clip'][:2]), **PIXELS)
    apply = jax.jit(partial(model.clone(dropout=0.0).apply, train=True, mutable=['batch_stats']))
    expected, _ = apply(variables, clip)
    np.testing.assert_allclose(logits[:2], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('clips', [2, 6])
def test_sets_are_those_of_training_on_any_number_of_devices(variables, clips):
    """Also where no device has a whole set: 3 clips of 6 on each, in sets of 2 or 6."""
    rng = np.random.default_rng(1)
    brightness = rng.integers(1, 150, (6, 1, 1, 1, 1))
    batch = {'clip': (rng.integers(0, 100, (6, *SHAPE[1:])) + brightness).astype(np.uint8)}
    counting, found = precise_statistics.counting(tiny_resnet(False), clips), []
    for devices in (1, 2):
        mesh = parallel.make_mesh(jax.devices()[:devices])
        observing = precise_statistics.compile_observe(counting, variables, PIXELS, mesh)
        logits, of_devices = observing(variables, parallel.place(batch, mesh))
        found.append((logits, precise_statistics.average([jax.device_get(of_devices)])))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), *found)
    pixels = normalize_pixels(jnp.asarray(batch['clip']), **PIXELS)
    train = jax.jit(partial(tiny_resnet(True).clone(dropout=0.0).apply, train=True, mutable=['batch_stats']))
    zero = jax.tree.map(lambda of: jnp.zeros_like(squeeze(of)), without_sets(found[0][1]))
    of_sets = [train({**variables, 'batch_stats': zero}, part) for part in jnp.split(pixels, 6 // clips)]
    np.testing.assert_allclose(found[1][0], np.concatenate([of[0] for of in of_sets]), rtol=1e-4, atol=1e-4)
    expected = jax.tree.map(lambda *of: np.mean(of, axis=0), *(of[1]['batch_stats'] for of in of_sets))
    weight = 1 - norm_settings(True)['momentum']
    for path, of in flatten_dict(expected, sep='/').items():
        value = squeeze(flatten_dict(found[1][1], sep='/')[path])
        np.testing.assert_allclose(value, of / weight, rtol=2e-4, atol=1e-5)


def without_sets(statistics):
    """What every training keeps of them."""
    kept = {path: of for path, of in flatten_dict(statistics).items() if path[-1] in ('mean', 'var')}
    return unflatten_dict(kept)


def test_sets_may_be_of_any_size_that_divides_the_batch():
    """A stored config is scored on machines of other devices than it was trained on."""
    config = base.get_config('resnet18,dnr')
    config.train.batch_size, config.run.precise_batches = 16, 1
    for config.run.self_inclusive in (2, 8, 16):
        precise_statistics.expect_sets(config)
    config.run.self_inclusive = 3
    with pytest.raises(ValueError, match='divides config.train.batch_size = 16, got 3'):
        precise_statistics.expect_sets(config)


def test_mistakes(variables):
    with pytest.raises(ValueError, match='at least 1 batch, got 0'):
        compute(tiny_resnet(False), variables, [])
    with pytest.raises(ValueError, match='Expected a model with running statistics'):
        compute(tiny_resnet(False), {'params': {}}, [])


def test_drift_and_spread_by_hand():
    """Two hops that differ in one of two channels; a running pair that lies half a deviation beside their mean."""
    hops = {'mean': np.array([[0.0, 1.0], [0.0, 3.0]]), 'var': np.array([[4.0, 1.0], [4.0, 1.0]])}
    running = {'mean': np.array([1.0, 2.5]), 'var': np.array([4.0, np.e])}
    flat = {'mean': hops['mean'][:1], 'var': hops['var'][:1]}
    trees = (
        {'block10': {'statistics': flat_running}, 'block2': {'statistics': of}}
        for flat_running, of in (({'mean': flat['mean'][0], 'var': flat['var'][0]}, running), (flat, hops))
    )
    relayed, last = drift.compare(*trees, epsilon=0.0)
    assert relayed == pytest.approx(('block2', 2, 1, 0.5, 0.5, 0.5, 0.0))
    assert last == ('block10', 1, 1, 0.0, 0.0, None, None)
    assert relayed.harm == pytest.approx(0.5) and last.harm == 0
    assert relayed._replace(spread_mean=2.0).harm == 2 and relayed._replace(spread_mean=2.0, pairs=2).harm == 0.5
