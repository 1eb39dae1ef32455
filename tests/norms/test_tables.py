"""Norms by name: a row without constructors is refused, no two words mean the same, a new one is a part and a row."""

import itertools
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from small_networks import NORM, network, normal

from dnr_jax.models import MODELS
from dnr_jax.models.network import Block, Network
from dnr_jax.norms import words
from dnr_jax.norms.relay import RelayCell, zero_carry
from dnr_jax.norms.words import NORMS, Parts, Transform, make_norm

DROPOUT = {'dropout': jax.random.key(1)}
CLIP = normal(2, 4, 3, 3, 4)


@pytest.mark.parametrize(
    ('statistics', 'transform', 'words'),
    [
        ('batch', 'gated', "Unknown transform 'gated'.*static, .*cross_layer"),
        ('instance', 'static', "Unknown statistics 'instance'.*batch, renormalized, group"),
        ('none', 'static', "'none' for both"),
        ('batch', 'none', "'none' for both"),
    ],
)
def test_a_row_without_a_constructor_is_refused_when_it_is_made(statistics, transform, words):
    with pytest.raises(ValueError, match=words):
        Parts(statistics, transform)


class OneNorm(nn.Module):
    word: str

    @nn.compact
    def __call__(self, x, train):
        cell = RelayCell(x.shape[-1], 1, name='cell')
        carry = zero_carry(len(x), x.shape[-1])
        return make_norm(self.word, cell=cell, name='norm', **NORM | {'reduction': 1})(x, carry, train)[0]


def outcome(word):
    """What is learned, and what comes out in training, in evaluation, and where the transform is as it begins."""
    norm = OneNorm(word)
    variables = norm.init(jax.random.key(0), CLIP, train=True)
    trained, running = norm.apply(variables, CLIP, train=True, mutable='batch_stats', rngs=DROPOUT)
    evaluated = norm.apply({**variables, **running}, CLIP, train=False)
    return jax.tree.structure(variables), jnp.stack([trained, evaluated])


def test_no_two_words_mean_the_same():
    """By what they learn or compute; the onward relay is the same norm, and differs in what its stages hand on."""
    outcomes = {word: outcome(word) for word in NORMS if not NORMS[word].onward}
    for one, other in itertools.combinations(outcomes, 2):
        (learned, y), (learned_by_other, y_of_other) = outcomes[one], outcomes[other]
        assert learned != learned_by_other or float(abs(y - y_of_other).max()) > 1e-3, (one, other)


class Shifted(nn.Module):
    """Only a learned shift."""

    @nn.compact
    def __call__(self, carry, pooled):
        shift = self.param('only_shift', nn.initializers.ones, pooled.shape[-1:])
        return carry, (jnp.ones((1, 1, pooled.shape[-1])), shift[None, None])


def test_a_new_norm_is_a_transform_and_its_rows(monkeypatch):
    shifted = Transform(lambda of, gain, cell: Shifted, by_hop=False, own=False, of_stage=False)
    monkeypatch.setitem(words.TRANSFORMS, 'shifted', shifted)
    monkeypatch.setitem(NORMS, 'batch_shifted', Parts('batch', 'shifted'))
    model, clip = network(norms='batch_shifted,batch'), jnp.zeros((1, 2, 16, 16, 3))
    params = jax.eval_shape(partial(model.init, train=False), jax.random.key(0), clip)['params']
    assert set(params['stage1']['block1']['norm1']['transform']) == {'only_shift'}
    norm = make_norm('batch_shifted', cell=None, name='norm', **NORM)
    carry = zero_carry(2, 4)
    (y, after), _ = norm.init_with_output(jax.random.key(0), CLIP, carry, train=True)
    assert jnp.allclose(y.mean(axis=(0, 1, 2, 3)), 1, atol=1e-5) and after is carry


class Plain(Block):
    """One 1x1 convolution."""

    @staticmethod
    def widths(features):
        return (features,)

    @nn.compact
    def __call__(self, x, carry, train):
        y, carry = self.norm(self.norms[0], cell=self.cell, name='norm1')(nn.Dense(self.features)(x), carry, train)
        return nn.relu(y), carry


class PlainNetwork(Network):
    @nn.compact
    def __call__(self, clip, train):
        x, carry = nn.Dense(self.width)(clip), zero_carry(len(clip), self.width)
        x, _ = self.stage(0, (Plain, Plain), Plain.widths, self.width, 1)(x, carry, train)
        return self.classify(x, train)


def test_a_new_backbone_is_a_block_a_network_and_its_row(monkeypatch):
    made = lambda *, norms, **settings: PlainNetwork(norms=words.norm_slots(norms, 1), **settings)  # noqa: E731
    monkeypatch.setitem(MODELS, 'plain', made)
    for norms in ('dnr', 'batch', 'none'):
        model = network('plain', norms)
        logits, variables = model.init_with_output(jax.random.key(0), normal(2, 4, 4, 4, 3), train=False)
        assert logits.shape == (2, 5)
    relayed = network('plain', 'dnr').init(jax.random.key(0), normal(2, 4, 4, 4, 3), train=False)['params']
    assert 'relay' in str(jax.tree_util.tree_structure(relayed))


def test_a_hopwise_norm_is_a_clock():
    """By hand: the second of two hops has scale 3 and shift 1, whatever the clip; other clips hear nothing of it."""
    norm = make_norm('hopwise', cell=None, name='norm', **NORM | {'epsilon': 0.0})
    x, carry = jnp.tile(jnp.array([1.0, -1.0]), (2, 4, 2, 1)).reshape(2, 4, 2, 2, 1), zero_carry(2, 1)
    params = {'scale': jnp.array([[1.0], [3.0]]), 'shift': jnp.array([[0.0], [1.0]])}
    variables = {'params': {'transform': params}, **norm.init(jax.random.key(0), x, carry, train=False)}
    variables['params'] = {'transform': params}
    (y, _), _ = norm.apply(variables, x, carry, train=True, mutable='batch_stats')
    assert jnp.allclose(y[:, :2], x[:, :2]) and jnp.allclose(y[:, 2:], 3 * x[:, 2:] + 1)
    with pytest.raises(ValueError, match='learned for 2 hops, got 3'):
        norm.apply(variables, jnp.zeros((2, 6, 2, 2, 1)), carry, train=False)


@pytest.mark.parametrize(('word', 'relayed'), [('hop', 'cross_temporal'), ('clip', 'cross_layer')])
def test_an_unrelayed_cell_is_the_first_hop_of_a_relay(word, relayed):
    """Every hop of the one is the first of the other, from a zero carry: by half the parameters, which take over what
    the state side adds to the gates there, by their biases; gate f has no gradient."""
    cell, pooled = RelayCell(4, 2), normal(2, 3, 4)
    variables = cell.init(jax.random.key(0), zero_carry(2, 4), pooled[:, 0])
    params = cell.init(jax.random.key(0), pooled, method=RelayCell.alone)['params']
    assert set(params) == {'input_gates'} and set(variables['params']) == {'input_gates', 'state_gates'}
    reduce, expand = (variables['params']['state_gates'][name] for name in ('reduce', 'expand'))
    added = jax.nn.relu(reduce['bias']) @ expand['kernel'] + expand['bias']
    params = jax.tree.map(jnp.array, variables['params']['input_gates'])
    params['expand']['bias'] += added
    alone = {'params': {'input_gates': params}}
    scale, shift = cell.apply(alone, pooled, method=RelayCell.alone)
    for hop in range(3):
        _, first = cell.apply(variables, zero_carry(2, 4), pooled[:, hop])
        assert jnp.allclose(scale[:, hop], first[0], atol=1e-6) and jnp.allclose(shift[:, hop], first[1], atol=1e-6)
    gradient = jax.grad(lambda of: sum(map(jnp.sum, cell.apply(of, pooled, method=RelayCell.alone))))(alone)
    has_gradient = jnp.any(gradient['params']['input_gates']['expand']['kernel'].reshape(2, 4, 4) != 0, axis=(0, 2))
    assert has_gradient.tolist() == [True, False, True, True]  # i, f, g, o
    assert Parts('batch', word).transform != relayed


def test_hops_of_an_unrelayed_norm_hear_of_no_other():
    norm = make_norm('cross_temporal_unrelayed', cell=None, name='norm', **NORM | {'reduction': 1})
    carry = zero_carry(2, 4)
    variables = norm.init(jax.random.key(0), CLIP, carry, train=False)

    def of_hops(x):
        return norm.apply(variables, x, carry, train=False)[0].reshape(2, 2, 2, -1).sum(axis=(2, 3))  # [B G]

    reach = jnp.abs(jax.jacrev(of_hops)(CLIP)).reshape(2, 2, 2, 2, -1).max(axis=-1)  # [B G B G]
    assert jnp.array_equal(reach > 0, jnp.eye(4).reshape(2, 2, 2, 2) > 0)


def test_a_timed_cell_is_told_the_time_and_hears_of_no_frame_before():
    """Told the states that a relay has come to, its hops are those of the relay; and each reads itself alone."""
    timed, relayed = (make_norm(of, cell=None, name='norm', **NORM | {'reduction': 1})
                      for of in ('cross_temporal_timed', 'cross_temporal'))  # fmt: skip
    clip, carry = CLIP[:1], zero_carry(1, 4)
    variables = relayed.init(jax.random.key(0), clip, carry, train=False)
    params = timed.init(jax.random.key(0), clip, carry, train=False)['params']['transform']
    params['cell'] = variables['params']['transform']['relay']
    y, kept = relayed.apply(variables, clip, carry, train=False, capture_intermediates=True, mutable='intermediates')
    _, (scale, shift) = kept['intermediates']['transform']['__call__'][0]  # the state after a hop, [B G C]
    h, params['c'] = (jnp.roll(of[0], 1, axis=0).at[0].set(0.0) for of in (scale, shift))
    cell = {'params': params['cell']}
    params['gates'] = RelayCell(4, 1).apply(cell, h, method=lambda cell, h: cell.state_gates(h))
    told = {**variables, 'params': {'transform': params}}
    assert jnp.allclose(timed.apply(told, clip, carry, train=False)[0], y[0], atol=1e-6)

    def of_hops(x):
        return timed.apply(told, x, carry, train=False)[0].reshape(1, 2, 2, -1).sum(axis=(2, 3))  # [B G]

    reach = jnp.abs(jax.jacrev(of_hops)(clip)).reshape(2, 2, 2, -1).max(axis=(2, 3))  # [G G]
    assert jnp.array_equal(reach > 0, jnp.eye(2) > 0)
    with pytest.raises(ValueError, match='learned for 2 hops, got 3'):
        timed.apply(told, jnp.zeros((1, 6, 3, 3, 4)), carry, train=False)


def test_a_residual_norm_begins_as_batch_norm_and_then_adds_the_relay():
    """By hand: with shares of one, the static scale 1 and shift 0 are added to what the relay hands out."""
    residual, batch, relayed = (make_norm(f'{word}', cell=None, name='norm', **NORM | {'reduction': 1})
                                for word in ('cross_temporal_residual', 'batch', 'cross_temporal'))  # fmt: skip
    carry = zero_carry(2, 4)
    variables = residual.init(jax.random.key(0), CLIP, carry, train=False)
    y = residual.apply(variables, CLIP, carry, train=False)[0]
    plain = batch.init_with_output(jax.random.key(0), CLIP, carry, train=False)[0][0]
    assert jnp.allclose(y, plain)
    transform = variables['params']['transform']
    variables['params']['transform']['share'] = jax.tree.map(jnp.ones_like, transform['share'])
    y = residual.apply(variables, CLIP, carry, train=False)[0]
    of_relay = {**variables, 'params': {'transform': transform['of']}}
    assert jnp.allclose(y, plain + relayed.apply(of_relay, CLIP, carry, train=False)[0], atol=1e-6)
