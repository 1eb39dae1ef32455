"""All forms of an operation mean the same, forward and backward, whatever the platform that they are for."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractDevice, AbstractMesh, use_abstract_mesh
from numpy.testing import assert_allclose, assert_array_equal
from small_networks import normal

from dnr_jax import operations
from dnr_jax.norms import words
from dnr_jax.operations import Forms

CLIP = normal(2, 4, 6, 6, 5)
KERNEL, ONE, DEPTHWISE = normal(3, 3, 5, 7, seed=1), normal(1, 1, 5, 7, seed=1), normal(3, 3, 1, 5, seed=1)
WIDE = normal(2, 3, 2, 2, 130, seed=4)
SLOPES = [(1, 1), (1, 4), (2, 1), (2, 2)]

CASES = {
    'CONVOLUTION_OF_WINDOWS': [
        ((clip, kernel), {'stride': stride})
        for kernel in (KERNEL, ONE)
        for stride in (1, 2)
        for clip in (CLIP, CLIP[:, :, :3], CLIP[:, :, :2, :2])
    ],
    'DEPTHWISE_CONVOLUTION': [((CLIP, DEPTHWISE), {'stride': stride}) for stride in (1, 2)],
    'max_pool': [((CLIP,), {}), ((CLIP[:, :, :5],), {})],
    'SHIFT_CHANNELS': [((clip,), {'share': 2}) for clip in (CLIP, CLIP[:, :1], WIDE)],
    'SHIFTED_SUM': [((clip,), {'taps': 5}) for clip in (CLIP, CLIP[:, :1], WIDE)],
    'SUM_NEIGHBOURS': [
        ((clip, normal(3, clips, clip.shape[-1], seed=1)), {}) for clip in (CLIP, WIDE) for clips in (1, 2)
    ],
    'MEAN_AND_SQUARE': [
        ((CLIP,), {'groups': groups, 'clips_apart': apart})
        for groups, apart in [(1, True), (1, False), (2, True), (4, True)]
    ],
    'MULTIPLY_ADD': [((CLIP, normal(*of, 5, seed=1), normal(*of, 5, seed=2)), {}) for of in SLOPES],
    'relu_of_sum': [((CLIP,), {})],
}
FORMS = {
    name: value
    for file in (operations.maps, operations.neighbours, operations.groups)
    for name, value in vars(file).items()
    if isinstance(value, Forms)
}
EVERY = [
    pytest.param(FORMS[name], platform, arrays, settings, id=f'{name}-{platform}-{i}')
    for name, cases in CASES.items()
    for i, (arrays, settings) in enumerate(cases)
    for platform in ('tpu', 'gpu')
]


def test_every_operation_has_its_cases():
    assert set(FORMS) == set(CASES)


def value_and_gradients(form, arrays, settings):
    """What a form makes of the arrays, and gradients to all of them of its product with random numbers."""

    @jax.jit
    def run(*arrays):
        results, back = jax.vjp(partial(form, **settings), *arrays)
        return results, back(jax.tree.map(lambda of: normal(*of.shape, seed=3), results))

    return run(*arrays)


@pytest.mark.parametrize(('of', 'platform', 'arrays', 'settings'), EVERY)
def test_forms_are_equal(of, platform, arrays, settings):
    expected = value_and_gradients(of.cpu, arrays, settings)
    found = value_and_gradients(getattr(of, platform), arrays, settings)
    jax.tree.map(partial(assert_allclose, rtol=1e-6, atol=1e-6 * 45), found, expected)
    assert jax.tree.all(jax.tree.map(lambda leaf: bool(np.any(leaf != 0)), found))


def test_on_cpus_products_of_a_single_clip_are_summed_without_an_axis_of_clips():
    """With it, XLA's sums take up to twenty times as long."""
    x, slope = CLIP[:1], normal(1, 2, 5)
    _, back = jax.vjp(operations.groups.MULTIPLY_ADD.cpu, x, slope, slope)
    summed = [
        equation.invars[0].aval.shape
        for equation in jax.make_jaxpr(back)(x).eqns
        if equation.primitive.name == 'reduce_sum' and equation.invars[0].aval.size == x.size
    ]
    assert len(summed) == 2 and all(shape[0] > 1 for shape in summed)


ONE_TWO_THREE = Forms(cpu=lambda x: x + 1, tpu=lambda x: x + 2, gpu=lambda x: x + 3)


def test_this_machine_takes_the_form_of_cpus():
    assert_array_equal(jax.jit(lambda x: ONE_TWO_THREE(x))(jnp.zeros(2)), [1, 1])


@pytest.mark.parametrize(('platform', 'adds'), [('cpu', 1), ('tpu', 2), ('cuda', 1)])
def test_without_a_mesh_a_form_of_several_platforms_is_traced_once(platform, adds):
    """And the platform that a program is compiled for takes its own."""
    traced = []

    def add(number, x):
        traced.append(number)
        return x + number

    one, two = partial(add, 1.0), partial(add, 2.0)
    program = jax.jit(lambda x: Forms(cpu=one, tpu=two, gpu=one)(x)).trace(0.0)
    assert sorted(traced) == [1, 2]
    added = re.findall(r'dense<(\d).0+e\+00>', program.lower(lowering_platforms=(platform,)).as_text())
    assert added == [str(adds)]


@pytest.mark.parametrize(('platform', 'adds'), [('cpu', 1), ('tpu', 2), ('gpu', 3), ('cuda', 3)])
def test_under_a_mesh_the_forms_of_other_platforms_never_reach_the_compiler(platform, adds):
    device = AbstractDevice(device_kind='any', num_cores=None, platform=platform)
    with use_abstract_mesh(AbstractMesh((1,), ('clips',), abstract_device=device)):
        program = jax.make_jaxpr(lambda x: ONE_TWO_THREE(x))(0.0)
    assert [(str(equation.primitive), equation.invars[1].val) for equation in program.eqns] == [('add', adds)]


@pytest.mark.parametrize('scope', ['device', '1'])
@pytest.mark.parametrize('word', ['batch', 'group', 'none'])
def test_a_pool_before_the_multiply_add_is_the_pool_behind_it(random_variables, word, scope):
    """Also where the scale is below zero, in bfloat16 to the bit of the maximum of what is rounded."""
    settings = {
        'cell': None, 'stride': 2, 'reduction': 1, 'momentum': 0.9, 'statistics_scope': scope, 'epsilon': 1e-5,
        'running_per_hop': False, 'frozen_statistics': '', 'groups': 5, 'name': 'norm',
        'renormalization': (3.0, 5.0), 'reading_dropout': 0.1,
    }  # fmt: skip
    clip = CLIP.astype(jnp.bfloat16)
    plain = words.make_norm(word, **settings)
    pooled = words.make_norm(word, **settings, pool=operations.max_pool)
    carry = jnp.zeros((2, 5)), jnp.zeros((2, 5))
    variables = random_variables(plain, clip, carry, train=False)
    if word != 'none':
        variables['params']['transform']['scale'] = jnp.array([1.0, -0.5, 0.0, -2.0, 0.3])
    (y, _), after = plain.apply(variables, clip, carry, train=True, mutable=['batch_stats'])
    turned = []

    def convolve(sign):
        turned.append(sign)
        return clip * sign.astype(clip.dtype)[None, None, None, None]

    found, after_pooled = pooled.apply(variables, convolve, 5, train=True, mutable=['batch_stats'])
    assert_allclose(*(of.astype(jnp.float32) for of in (found, operations.max_pool(y))), rtol=0, atol=1e-6)
    jax.tree.map(partial(assert_allclose, rtol=1e-6, atol=1e-7), after_pooled, after)
    assert_array_equal(turned[0], jnp.ones(5) if word == 'none' else jnp.array([1.0, -1.0, 1.0, -1.0, 1.0]))
