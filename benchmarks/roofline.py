"""The distance to the roofline: training steps and every convolution against the rates of the same device.

    python -m benchmarks.roofline --backbones=resnet50,slowonly_resnet50 --record=roofline

The roof of a program is the longer of FLOPs / rate of a large matmul and bytes / rate of a large copy; both rates are
measured in turns with it, so the distance, time / roof, is a ratio within each round. FLOPs of a step are those of its
convolutions and matrix products, bytes those of the compiled program. A convolution is a layer as the networks have it,
whatever XLA is given for it; its FLOPs are two for each number of its kernel at each position of its result, its bytes
those of input, kernel and result once, for the forward pass and for the gradients by input and by kernel alike.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from benchmarks.networks import NORMS, Settings, backbones, clip_shape, parts, settings_of, training
from benchmarks.options import REPEATS, ROUNDS, expect_to_compile, keep
from benchmarks.timing import alternate, spread
from dnr_jax.models.layers import DepthwiseConv, SpatialConv
from dnr_jax.models.resnet3d import StemConv, TemporalConv

DTYPE = flags.DEFINE_string('dtype', 'float32', 'Of activations.')
MATMUL = flags.DEFINE_integer('matmul', 1024, 'Rows and columns of the matmul; 8192 on accelerators.')
COPY = flags.DEFINE_integer('copy', 64, 'MB that are copied; 4096 on accelerators.')

CONVOLUTIONS = (SpatialConv, DepthwiseConv, TemporalConv, StemConv)


def rulers() -> dict[str, Callable]:
    """The matmul and the copy that rates are taken from."""
    factor = jax.random.normal(jax.random.key(0), (MATMUL.value, MATMUL.value), DTYPE.value)
    block = jnp.ones(COPY.value * 250_000, jnp.float32)
    return {
        'matmul': partial(jax.jit(jnp.matmul), factor, factor),
        'copy': partial(jax.jit(lambda block: block + 1), block),
    }


def rates(times: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """FLOPs and bytes per second in each round; a copy reads and writes."""
    return {'flops': 2 * MATMUL.value**3 / times['matmul'], 'bytes': 2 * COPY.value * 1e6 / times['copy']}


def against_roof(seconds: np.ndarray, rate: dict[str, np.ndarray], flops: float, moved: float) -> dict[str, Any]:
    """Seconds of a program, its roof, which rate makes it, and the distance to it."""
    by_flops, by_bytes = flops / rate['flops'], moved / rate['bytes']
    roof = np.maximum(by_flops, by_bytes)
    bound = 'arithmetic' if np.median(by_flops) > np.median(by_bytes) else 'memory'
    measured = {'seconds': spread(seconds), 'roof': spread(roof), 'distance': spread(seconds / roof)}
    return measured | {'bound': bound, 'flops': flops, 'bytes': moved}


def convolutions(settings: Settings) -> Counter:
    """(layer, shape of its input) of every convolution of a network, and how often it occurs."""
    _, model, _ = parts(settings)
    found = Counter()

    def note(call, args, kwargs, context):
        if isinstance(context.module, CONVOLUTIONS) and context.method_name == '__call__':
            found[context.module.clone(parent=None, name=None), args[0].shape] += 1
        return call(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(partial(model.init, train=False), jax.random.key(0), jnp.zeros(clip_shape(settings)))
    return found


def measure_convolution(layer: nn.Module, shape: tuple[int, ...], count: int) -> dict:
    """Forward pass and gradients of one layer, in turns with the rulers."""
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=shape), DTYPE.value)
    wanted = jax.eval_shape(layer.init, jax.random.key(0), x)['params']['kernel']
    kernel = jnp.asarray(random.normal(size=wanted.shape), jnp.float32)

    def forward(kernel, x):
        return layer.apply({'params': {'kernel': kernel}}, x)

    y = jax.jit(forward)(kernel, x)
    runs = {
        'forward': partial(jax.jit(forward), kernel, x),
        'by_input': partial(jax.jit(lambda kernel, y: jax.vjp(partial(forward, kernel), x)[1](y)), kernel, y),
        'by_kernel': partial(jax.jit(lambda x, y: jax.vjp(lambda kernel: forward(kernel, x), kernel)[1](y)), x, y),
    }
    swept = {'swept': runs['forward']}  # a first run, uncounted, finds the caches as the copy has left them
    times = alternate(rulers() | swept | runs, ROUNDS.value, REPEATS.value)
    flops = 2 * prod(kernel.shape) * prod(y.shape[:-1])
    moved = x.dtype.itemsize * (x.size + y.size) + kernel.nbytes
    measured = {name: against_roof(times[name], rates(times), flops, moved) for name in runs}
    where = {'layer': type(layer).__name__, 'input': shape, 'kernel': kernel.shape, 'count': count}
    return where | {'stride': layer.stride} | measured


def measure_steps(settings: Settings) -> tuple[dict, dict]:
    """The rates of this device, and the training step under each of the norms, by name."""
    programs = {norms: training(settings._replace(norms=norms))[0] for norms in NORMS.value}
    times = alternate(rulers() | programs, ROUNDS.value, REPEATS.value)
    return {name: spread(rate) for name, rate in rates(times).items()}, {
        norms: against_roof(times[norms], rates(times), program.cost.flops, program.cost.bytes_accessed)
        for norms, program in programs.items()
    }


def measure(backbone: str) -> dict:
    """The record of one backbone."""
    settings = settings_of(backbone, 'batch', DTYPE.value, devices=1)
    device, steps = measure_steps(settings)
    print(f'{backbone}: {device["flops"]["median"] / 1e9:,.0f} GFLOP/s, {device["bytes"]["median"] / 1e9:,.1f} GB/s')
    for norms, step in steps.items():
        print(f'  training step, {norms}: {step["distance"]["median"]:.2f} times its roof, {step["bound"]}', flush=True)
    layers = []
    for (layer, shape), count in convolutions(settings).items():
        layers.append(measure_convolution(layer, shape, count))
        print('  ' + as_line(layers[-1]), flush=True)
    return settings._asdict() | {'rates': device, 'steps': steps, 'convolutions': layers}


def as_line(measured: dict) -> str:
    """A convolution, its count in the network, and the distances of forward pass and gradients by input and kernel."""
    *extent, inputs, features = measured['kernel']
    kernel = f'{"x".join(map(str, extent))} {inputs}->{features} /{measured["stride"]}'
    distances = ' '.join(
        f'{measured[name]["distance"]["median"]:6.2f}' for name in ('forward', 'by_input', 'by_kernel')
    )
    return f'{measured["count"]:3d} x {measured["layer"]:<13} {measured["input"]!s:<24} {kernel:<24} {distances}'


def main(_) -> None:
    expect_to_compile()
    for backbone in backbones():
        keep(measure(backbone))


if __name__ == '__main__':
    app.run(main)
