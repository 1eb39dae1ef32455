"""Training steps of several norms side by side: step time, compile time and compiled peak memory, as ratios.

    python -m benchmarks.train_step --backbone=resnet50 --norms=dnr,batch --clips=2 --frames=8 --size=112

The variants take turns, so what slows the machine slows them alike; the ratio of each round is taken within it, the
last norm of --norms being the denominator. Data is random and stays on the device.
"""

import json
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from configs import base
from dnr_jax import models, optimizers, parallel
from dnr_jax.dry_run import memory_of
from dnr_jax.setup import make_train_step
from dnr_jax.state import create_state

BACKBONE = flags.DEFINE_string('backbone', 'resnet50', 'A key of dnr_jax.models.MODELS.')
NORMS = flags.DEFINE_list('norms', ['dnr', 'batch'], 'Norm presets to compare; the last one is the denominator.')
CLIPS = flags.DEFINE_integer('clips', 2, 'Clips per step.')
FRAMES = flags.DEFINE_integer('frames', 8, 'Frames per clip.')
SIZE = flags.DEFINE_integer('size', 112, 'Height and width.')
DTYPE = flags.DEFINE_string('dtype', 'float32', 'Of activations.')
ROUNDS = flags.DEFINE_integer('rounds', 15, 'Rounds, after two that are not counted.')
OUT = flags.DEFINE_string('out', None, 'JSON file to write the record to.')


def make_batch(clip_shape: tuple[int, ...], classes: int) -> dict[str, np.ndarray]:
    """Random clips and labels."""
    random = np.random.default_rng(0)
    return {
        'clip': random.integers(0, 256, clip_shape, np.uint8),
        'label': random.integers(0, classes, clip_shape[0]).astype(np.int32),
        'mask': np.ones(clip_shape[0], bool),
        'damaged': np.zeros(clip_shape[0], np.int32),
    }


def compile_step(norms: str):
    """The compiled step with its state and batch, and what compiling took: (step, state, batch, seconds, bytes)."""
    config = base.get_config(f'{BACKBONE.value},{norms}')
    config.model.dtype = DTYPE.value
    mesh = jax.make_mesh((1,), (parallel.AXIS,), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])
    model = models.build(**config.model.to_dict(), classes=400)
    schedule = optimizers.learning_rate(**config.schedule, steps_per_epoch=3757, epochs=196)
    optimizer = optimizers.sgd(schedule, **config.optimizer)
    shape = (CLIPS.value, FRAMES.value, SIZE.value, SIZE.value, 3)
    create = partial(create_state, model=model, optimizer=optimizer, clip_shape=(1, *shape[1:]), averaged=False)
    initial = jax.jit(create, out_shardings=parallel.replicated(mesh))(jax.random.key(0))
    step = make_train_step(config, model, optimizer, mesh, classes=400)
    batch = parallel.place(make_batch(shape, classes=400), mesh)
    started = time.perf_counter()
    compiled = step.lower(initial, batch).compile()
    seconds = time.perf_counter() - started
    return compiled, initial, batch, seconds, memory_of(compiled.memory_analysis())


def main(_):
    variants = {norms: compile_step(norms) for norms in NORMS.value}
    states = {norms: variant[1] for norms, variant in variants.items()}
    times = {norms: [] for norms in variants}
    for _ in range(ROUNDS.value + 2):
        for norms, (step, _, batch, _, _) in variants.items():
            started = time.perf_counter()
            states[norms], metrics = step(states[norms], batch)
            jax.block_until_ready((states[norms], metrics))
            times[norms].append(time.perf_counter() - started)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(states[NORMS.value[-1]].params))
    record = summarize({norms: np.array(values[2:]) for norms, values in times.items()}, variants)
    print(as_table(record))
    if OUT.value:
        with open(OUT.value, 'w') as file:
            json.dump(record, file, indent=2)


def summarize(times, variants):
    """Medians, and the median over rounds of the ratio to the last variant."""
    last = NORMS.value[-1]
    return {
        'backbone': BACKBONE.value,
        'clip': [CLIPS.value, FRAMES.value, SIZE.value, SIZE.value],
        'dtype': DTYPE.value,
        'device': jax.devices()[0].device_kind,
        'jax': jax.__version__,
        'rounds': ROUNDS.value,
        'norms': {
            norms: {
                'step_seconds': float(np.median(times[norms])),
                'step_ratio': float(np.median(times[norms] / times[last])),
                'compile_seconds': variants[norms][3],
                'compile_ratio': variants[norms][3] / variants[last][3],
                'peak_bytes': variants[norms][4],
                'peak_ratio': variants[norms][4] / variants[last][4],
            }
            for norms in times
        },
    }


def as_table(record) -> str:
    """The record, to read."""
    lines = [
        f'{record["backbone"]}, {"x".join(map(str, record["clip"]))}, {record["dtype"]}, on {record["device"]}',
        f'{"norms":>14} {"step ms":>9} {"ratio":>7} {"compile s":>10} {"ratio":>7} {"peak MB":>9} {"ratio":>7}',
    ]
    for norms, row in record['norms'].items():
        lines.append(
            f'{norms:>14} {1e3 * row["step_seconds"]:9.1f} {row["step_ratio"]:7.3f} {row["compile_seconds"]:10.2f} '
            f'{row["compile_ratio"]:7.2f} {row["peak_bytes"] / 1e6:9.1f} {row["peak_ratio"]:7.3f}'
        )
    return '\n'.join(lines)


if __name__ == '__main__':
    app.run(main)
