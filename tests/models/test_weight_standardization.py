"""Standardized kernels by hand, and networks by them: the same parameters, and what they are in place of."""

import copy
import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_networks import normal, short

import dnr_jax
from dnr_jax.models.resnet import ResNet
from dnr_jax.models.weight_standardization import standardized, standardizing, with_standardized_kernels
from dnr_jax.predict.features import Headless
from dnr_jax.study.tracing import trace

EPSILON = 1e-5
CLIP = normal(2, 4, 16, 16, 3)


def test_a_kernel_by_hand():
    """Two inputs and two outputs: means 3 and -2, variances 4 and 0, to be divided by sqrt(2 * 4 + 1) and 1."""
    kernel = jnp.array([[1.0, -2.0], [5.0, -2.0]])[None, None]
    found = standardized({'kernel': kernel}, epsilon=1.0)['kernel']
    assert_allclose(found[0, 0], [[-2 / 3, 0], [2 / 3, 0]], rtol=1e-6)


@pytest.mark.parametrize('shape', [(3, 3, 5, 8), (1, 1, 5, 8), (3, 3, 1, 8), (3, 1, 1, 5, 8), (5, 7, 7, 3, 8)])
def test_every_form_of_convolution_keeps_variance(shape):
    """Over its inputs each output channel has mean 0 and squares that add up to 1."""
    kernel = np.float64(standardized({'kernel': normal(*shape)}, EPSILON)['kernel']).reshape(-1, 8)
    assert_allclose(kernel.sum(axis=0), 0, atol=1e-5)
    assert_allclose((kernel**2).sum(axis=0), 1, rtol=1e-4)


@pytest.mark.parametrize(
    'params',
    [
        {'linear': {'kernel': normal(6, 5), 'bias': normal(5)}},  # of relays and of the head
        {'temporal1': {'kernel': normal(3, 1, 5)}, 'reduce': {'kernel': normal(3, 8, 2)}},  # of neighbouring frames
        {'transform': {'scale': normal(8), 'shift': normal(4, 8)}},
        {'conv1': {'kernel': normal(1, 1, 1, 8)}},  # of a single input
    ],
)
def test_what_stays_as_it_is(params):
    jax.tree.map(assert_array_equal, standardized(params, EPSILON), params)


def test_a_network_is_the_plain_one_by_standardized_kernels(random_variables):
    """In both modes, with its running statistics, without its head, and in what its relays do."""
    plain, network = short('resnet18', 'dnr'), with_standardized_kernels(short('resnet18', 'dnr', remat=True))
    variables = random_variables(plain, CLIP, train=False)
    given = {**variables, 'params': standardized(variables['params'], EPSILON)}

    @partial(jax.jit, static_argnums=0)
    def outputs(network, variables):
        return (
            network.apply(variables, CLIP, train=False),
            network.apply(variables, CLIP, train=True, mutable='batch_stats'),
            Headless(network.clone(classes=None)).apply(variables, CLIP, train=False),
            trace(network, variables, CLIP),
        )

    found, expected = outputs(network, variables), outputs(plain, given)
    jax.tree.map(partial(assert_allclose, rtol=1e-5, atol=1e-5), found, expected)
    assert np.abs(found[0] - plain.apply(variables, CLIP, train=False)).max() > 1e-3


def test_weights_start_as_those_of_the_plain_network_and_all_are_trained():
    plain = short('resnet18', 'dnr', reduction=1)
    network = with_standardized_kernels(plain)

    @jax.jit
    def gradients(variables):
        def loss(params):
            logits, _ = network.apply({**variables, 'params': params}, CLIP, train=True, mutable='batch_stats')
            return jnp.sum(logits * normal(2, 5))

        return jax.grad(loss)(variables['params'])

    variables, expected = (jax.jit(partial(of.init, train=False))(jax.random.key(0), CLIP) for of in (network, plain))
    jax.tree.map(assert_array_equal, variables, expected)
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients(variables)):
        assert np.all(np.isfinite(gradient)) and np.any(gradient != 0), path


def test_a_config_asks_for_it():
    build = partial(dnr_jax.build, 'resnet18', classes=5)
    assert type(build()) is ResNet
    network = build(standardize_weights=True)
    assert type(network) is standardizing(ResNet)
    for copied in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network), network.clone()):
        assert (type(copied), repr(copied)) == (type(network), repr(network))
