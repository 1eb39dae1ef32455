"""How the cost of a relayed norm grows: one norm by itself, forward and backward, along each axis in turn.

    python -m benchmarks.growth --repeats=5 --record=growth

From a base of 2 clips of 8 x 28 x 28 x 64 with two frames a hop, frames, clips, channels and frames per hop grow one at
a time; at each point the norms take turns and ratios are to batch norm. In a network, convolutions stand between.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl import app

from benchmarks.options import REPEATS, ROUNDS, expect_to_compile, keep
from benchmarks.program import Program
from benchmarks.timing import alternate, spread
from configs import base
from dnr_jax.norms.relay import RelayCell, zero_carry
from dnr_jax.norms.words import is_cross_layer, make_norm

SIZE = 28  # height and width

NORMS = ('cross_temporal', 'cross_layer', 'batch')  # the last is the denominator
BASE = {'clips': 2, 'frames': 8, 'channels': 64, 'stride': 2}
GROWTH = {'frames': (4, 8, 16, 32), 'clips': (1, 2, 4, 8), 'channels': (32, 64, 128, 256), 'stride': (1, 2, 4, 8)}


class Alone(nn.Module):
    """A norm with a relay cell for itself, [B T H W C]."""

    word: str
    stride: int

    @nn.compact
    def __call__(self, x):
        settings = base.get_config().model.norm.to_dict() | {'stride': self.stride}
        channels = x.shape[-1]
        cell = RelayCell(channels, settings['reduction'], name='relay') if is_cross_layer(self.word) else None
        norm = make_norm(self.word, cell=cell, **settings, name='norm')
        return norm(x, zero_carry(len(x), channels), True)[0]


def forward_and_backward(word: str, clips: int, frames: int, channels: int, stride: int) -> Program:
    """The norm of x and the gradients by x and parameters, for a given gradient by its result."""
    random = np.random.default_rng(0)
    x, gradient = (random.normal(size=(clips, frames, SIZE, SIZE, channels)) for _ in range(2))
    x, gradient = jnp.asarray(x, jnp.float32), jnp.asarray(gradient, jnp.float32)
    norm = Alone(word, stride)
    shapes = jax.eval_shape(norm.init, jax.random.key(0), x)
    variables = jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape), leaf.dtype), shapes)

    def both(variables, of):
        x, gradient = of
        y, backward, updated = jax.vjp(
            lambda params, x: norm.apply(variables | {'params': params}, x, mutable=['batch_stats']),
            variables['params'],
            x,
            has_aux=True,
        )
        return y, backward(gradient), updated

    return Program(jax.jit(both), variables, (x, gradient), updates=False)


def measure(axis: str, value: int) -> dict:
    """The record of one point."""
    point = BASE | {axis: value}
    programs = {word: forward_and_backward(word, **point) for word in NORMS}
    times = alternate(programs, ROUNDS.value, REPEATS.value)
    last = times[NORMS[-1]]
    variants = [
        {'norms': word, 'seconds': spread(seconds), 'ratio': spread(seconds / last), 'more': spread(seconds - last)}
        | programs[word].cost._asdict()
        for word, seconds in times.items()
    ]
    return {'axis': axis, **point, 'size': SIZE, 'variants': variants}


def main(_) -> None:
    expect_to_compile()
    print(f'{"":>14} ' + ' '.join(f'{word + " ms":>18} {"ratio":>6}' for word in NORMS))
    for axis, values in GROWTH.items():
        for value in values:
            measured = measure(axis, value)
            cells = (
                f'{1e3 * row["seconds"]["median"]:18.2f} {row["ratio"]["median"]:6.2f}' for row in measured['variants']
            )
            print(f'{axis:>9} {value:>4} ' + ' '.join(cells), flush=True)
            keep(measured)


if __name__ == '__main__':
    app.run(main)
