"""What XLA makes of a training step: relays are straight-line code and read no activation that batch norm does not."""

import functools

import jax
import jax.numpy as jnp
import pytest
from small_networks import normal, short

from dnr_jax.ahead_of_time import hlo
from dnr_jax.norms import normalization
from dnr_jax.norms.words import PRESETS
from dnr_jax.training import train_step

CLIPS, FRAMES, SIZE, WIDTH = 2, 4, 64, 8
ACTIVATION = CLIPS * FRAMES * (SIZE // 4) ** 2 * WIDTH  # numbers in the smallest, and far more than pooled ones have


@functools.cache
def compiled(norms):
    """The text of forward and backward pass of the first blocks of a ResNet-50, as XLA has optimized them."""
    model = short('resnet50', norms, width=WIDTH)
    clip = jax.ShapeDtypeStruct((CLIPS, FRAMES, SIZE, SIZE, 3), jnp.uint8)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros(clip.shape), train=False))
    rows = {name: jax.ShapeDtypeStruct((CLIPS,), dtype) for name, dtype in (('label', jnp.int32), ('mask', bool))}
    loss = functools.partial(
        train_step.loss_and_metrics,
        model=model,
        pixels={'mean': (0.0,) * 3, 'std': (1.0,) * 3},
        classes=5,
        class_weights=None,
        **{'label_smoothing': 0.0, 'mixup': 0.0, 'cutmix': 0.0},
    )
    gradient = jax.jit(jax.grad(loss, has_aux=True))
    arguments = variables['params'], variables['batch_stats'], {'clip': clip, **rows}
    return gradient.lower(*arguments, jax.eval_shape(lambda: jax.random.key(0))).compile().as_text()


def reads(text, least):
    """Operands of at least so many numbers, over all kernels the program starts one after the other."""
    return hlo.Program(text).reads(least)


@pytest.mark.parametrize('norms', ['batch', 'dnr'])
def test_no_loops(norms):
    assert ' while(' not in compiled(norms)


def test_a_loop_would_be_seen():
    looped = jax.jit(lambda x: jax.lax.scan(lambda x, _: (jnp.sin(x @ x), None), x, None, length=7)[0])
    assert ' while(' in looped.lower(normal(9, 9)).compile().as_text()


def test_reads_are_counted():
    program = jax.jit(lambda x: jnp.sort(x) + jnp.sort(x, axis=0) + x[:1]).lower(normal(64, 64)).compile().as_text()
    assert len(reads(program, 64 * 64)) >= 4  # x by both sorts; of both results at least one read each
    assert not reads(program, 64 * 64 + 1)


def test_relays_read_no_activation_more_than_batch_norm():
    assert set(PRESETS['dnr']) == {'cross_layer', 'cross_temporal', 'batch'}
    plain, relayed = (len(reads(compiled(norms), ACTIVATION)) for norms in ('batch', 'dnr'))
    assert plain > 50  # eight norms, forward and backward
    assert relayed <= plain


def test_one_pooled_read_more_would_be_seen(monkeypatch):
    def moments(x, groups, clips_apart, *, once=normalization.moments):
        of = once(x, groups, clips_apart)
        return of._replace(mean=of.mean + 0 * jnp.max(x, axis=(0, 1, 2, 3))[None, None])

    model = short('resnet50', 'batch', width=WIDTH)
    clip = jnp.zeros((CLIPS, FRAMES, SIZE, SIZE, 3))
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), clip, train=False))

    def forward():
        network = jax.jit(lambda variables, clip: model.apply(variables, clip, train=True, mutable=['batch_stats']))
        return len(reads(network.lower(variables, clip).compile().as_text(), ACTIVATION))

    once = forward()
    monkeypatch.setattr(normalization, 'moments', moments)
    assert forward() >= once + 8
