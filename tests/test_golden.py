"""The same numbers as the released code: see golden/README.md.

Error of an array is max |ours - theirs| / max |theirs|: relative to its scale, not to each of its elements,
among which there are zeros.
"""

import re
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from dnr_jax.models import build
from dnr_jax.norms.relay import RelayCell, relay_over_frames, zero_carry
from dnr_jax.norms.words import make_norm

GOLDEN = Path(__file__).parent / 'golden'
TOLERANCE = 1e-5
NORM = {
    'stride': 2, 'reduction': 4, 'statistics_scope': 'device', 'momentum': 0.9, 'running_per_hop': False,
    'frozen_statistics': '', 'epsilon': 1e-5, 'groups': 1,
    'renormalization': (3.0, 5.0), 'reading_dropout': 0.1,
}  # fmt: skip


class Hops(nn.Module):
    @nn.compact
    def __call__(self, pooled, train):
        clips, _, channels = pooled.shape
        return relay_over_frames(RelayCell(channels, 4, name='relay'), zero_carry(clips, channels), pooled)[1]


class CrossTemporal(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        norm = make_norm('cross_temporal', cell=None, name='norm', **NORM)
        return norm(x, zero_carry(len(x), x.shape[-1]), train)[0]


class CrossLayerChain(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        cell, carry = RelayCell(x.shape[-1], 4, name='relay'), zero_carry(len(x), x.shape[-1])
        for letter in 'abc':
            x, carry = make_norm('cross_layer', cell=cell, name=f'norm_{letter}', **NORM)(x, carry, train)
            x = nn.relu(x)
        return x


def stage1():
    """Stem and first stage of the ResNet-50."""
    settings = {'norms': 'dnr', 'norm': NORM, 'standardize_weights': False, 'dropout': 0.0, 'remat': False}
    return build(backbone='resnet50', width=64, classes=None, dtype='float32', **settings).clone(blocks=(3,))


# From the keys of the released code to paths in our variables; all rules apply, in this order.
RULES = (
    (r'^conv1', 'conv_stem'),
    (r'^bn1', 'norm_stem'),
    (r'^layer', 'stage'),
    (r'ModuleList\.(\d+)', lambda match: f'block{int(match[1]) + 1}'),
    (r'downsample\.0', 'conv_shortcut'),
    (r'downsample\.1', 'norm_shortcut'),
    (r'\bbn', 'norm'),
    (r'(norm\w*)\.(weight|bias)$', r'\1.transform.\2'),
    (r'(norm\w*)\.lstm', r'\1.transform.lstm'),
    (r'transform\.weight', 'transform.scale'),
    (r'transform\.bias', 'transform.shift'),
    (r'running_', 'statistics.'),
    (r'lstm', 'relay'),
    (r'w_ih\.0\.seq', 'input_gates'),
    (r'w_hh\.0\.seq', 'state_gates'),
    (r'gates\.0', 'gates.reduce'),
    (r'gates\.2', 'gates.expand'),
    (r'weight$', 'kernel'),
)


def ours(key):
    """Path of a released key in our variables."""
    for pattern, replacement in RULES:
        key = re.sub(pattern, replacement, key)
    return ('batch_stats' if 'statistics' in key else 'params', *key.split('.'))


def turned(value):
    """Linear layers are transposed, convolutions go from [O I H W] to [H W I O]."""
    return value.transpose({1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}[value.ndim])


def from_nthw(x):
    """[N*T C H W] of 8-frame clips -> [B T H W C]."""
    return np.moveaxis(x.reshape(-1, 8, *x.shape[1:]), 2, -1)


def swapped(x):
    return np.swapaxes(x, 0, 1)


def hop_pairs(x):
    """[hop (h, c) N C] -> (scale, shift), [B G C] each."""
    return swapped(x[:, 0]), swapped(x[:, 1])


def channels_last(x):
    return np.moveaxis(x, 1, -1)


# File -> model, what to put before its keys, how to turn its inputs and its outputs.
CASES = {
    'relay_cell': (Hops(), '', swapped, hop_pairs),
    'cross_temporal_layer': (CrossTemporal(), 'bn.', from_nthw, from_nthw),
    'cross_layer_chain': (CrossLayerChain(), '', channels_last, channels_last),
    'resnet50_stage1_dnr': (stage1(), '', from_nthw, from_nthw),
}


def error(ours, theirs):
    return np.abs(np.float64(ours) - theirs).max() / np.abs(theirs).max()


def run(model, variables, x, loss_weight):
    """Evaluation output; loss, output, gradients and statistics of one training pass."""
    statistics = {'batch_stats': variables['batch_stats']} if 'batch_stats' in variables else {}

    def loss(params, x):
        y, after = model.apply({'params': params, **statistics}, x, train=True, mutable='batch_stats')
        parts = jax.tree.map(lambda y, weight: jnp.sum(y * weight), y, loss_weight)
        return sum(jax.tree.leaves(parts)) / sum(leaf.size for leaf in jax.tree.leaves(y)), (y, after)

    trained = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(variables['params'], x)
    return model.apply(variables, x, train=False), trained


def test_every_file_is_compared():
    assert {path.stem for path in GOLDEN.glob('*.npz')} == set(CASES)


@pytest.mark.parametrize('case', CASES)
def test_equals_the_released_code(case):
    model, prefix, turn_input, turn_output = CASES[case]
    file = np.load(GOLDEN / f'{case}.npz')

    def section(name):
        return {
            ours(prefix + key.removeprefix(name)): turned(file[key])
            for key in file.files
            if key.startswith(name) and key != 'grad/input'
        }

    x, loss_weight = jnp.asarray(turn_input(file['input'])), turn_output(file['loss_weight'])
    variables = unflatten_dict(jax.tree.map(jnp.asarray, section('state/')))
    expected_shapes = jax.eval_shape(lambda key: model.init(key, x, train=False), jax.random.key(0))
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, expected_shapes)

    run_jitted = jax.jit(lambda variables, x, loss_weight: run(model, variables, x, loss_weight))
    evaluated, ((loss, (trained, after)), (gradients, input_gradient)) = run_jitted(variables, x, loss_weight)

    errors = {
        'train/loss': error(loss, file['train/loss']),
        'grad/input': error(input_gradient, turn_input(file['grad/input'])),
    }
    for name, output in ('eval/output', evaluated), ('train/output', trained):
        pairs = zip(jax.tree.leaves(output), jax.tree.leaves(turn_output(file[name])), strict=True)
        errors[name] = max(error(a, b) for a, b in pairs)
    results = flatten_dict({'params': gradients, **after})
    for name in 'grad/', 'after/':
        for path, value in section(name).items():
            errors[name + '/'.join(path)] = error(results[path], value)

    assert len(errors) == 3 + sum(key.startswith(('grad/', 'after/')) for key in file.files)
    worst = max(errors, key=errors.get)
    assert errors[worst] < TOLERANCE, f'{worst}: {errors[worst]:.1e}'
