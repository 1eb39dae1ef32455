"""The harness of the benchmarks: turns, costs, roofs; and that a bare machine can run them."""

import itertools
import subprocess
import sys
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from benchmarks import growth, networks, records, roofline, timing
from benchmarks.program import Program
from dnr_jax.models import MODELS

# What a bare machine lacks: all that dnr_jax needs beside JAX, Flax, Optax, ml-collections, NumPy, absl and jaxtyping.
LACKING = (
    'orbax', 'tensorflow_datasets', 'array_record', 'grain', 'av', 'simplejpeg', 'cv2', 'pebble', 'tqdm', 'matplotlib',
    'tensorboardX',
)  # fmt: skip


def test_a_bare_machine_can_run_them():
    block = f'import sys; sys.modules.update(dict.fromkeys({LACKING!r}))'
    scripts = 'import benchmarks.steps, benchmarks.growth, benchmarks.roofline, benchmarks.on_device'
    subprocess.run([sys.executable, '-c', f'{block}; {scripts}'], cwd=records.ROOT, check=True)


def test_variants_take_turns(monkeypatch):
    clock = itertools.count(step=0.5)  # every look at it is half a second later
    monkeypatch.setattr(timing.time, 'perf_counter', lambda: next(clock))
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in 'ab'}
    times = timing.alternate(runs, rounds=3, repeats=2)
    assert ''.join(calls) == 'aabb' * (3 + timing.WARM_UP)
    assert {name: list(seconds) for name, seconds in times.items()} == {'a': [0.25] * 3, 'b': [0.25] * 3}
    assert timing.spread(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == {'median': 3.0, 'low': 2.0, 'high': 4.0}


SMALL = networks.Settings('resnet18', 'none', 'float32', 1, clips=2, frames=2, size=16, width=4, stride=2)


def test_a_training_program_goes_on_from_its_state():
    program, parameters = networks.training(SMALL)
    losses = [float(program()['loss']) for _ in range(3)]
    assert np.isfinite(losses).all() and len(set(losses)) == 3  # each step has its own dropout
    assert parameters == 588 + 576 + 2048 + 8192 + 32768 + 13200  # stem, four stages, head
    assert program.cost.peak_bytes > 3 * 4 * parameters  # parameters, momentum, gradients
    assert program.cost.flops > 2 * 3 * 4 * parameters  # a forward and two backward passes over 4 frames


def test_costs_where_a_compiler_says_little(monkeypatch):
    """On GPUs and TPUs JAX says nothing of a program before it is compiled, and afterwards not always."""
    monkeypatch.setattr(jax.stages.Lowered, 'cost_analysis', lambda self: None)
    monkeypatch.setattr(jax.stages.Compiled, 'cost_analysis', lambda self: None)
    monkeypatch.setattr(jax.stages.Compiled, 'memory_analysis', lambda self: None)
    program = Program(jax.jit(jnp.matmul), jnp.ones((5, 3)), jnp.ones((3, 7)), updates=False)
    assert program.cost.flops == 2 * 5 * 3 * 7 and program.cost.bytes_accessed == program.cost.peak_bytes == 0
    assert program().shape == (5, 7)


STEPS = """
import pathlib, runpy, sys
from benchmarks import records
records.FOLDER = pathlib.Path(sys.argv.pop(1))
runpy.run_module('benchmarks.steps', run_name='__main__')
"""


def test_what_was_measured_is_kept_where_the_rest_comes_to_nothing(tmp_path):
    """In a process of its own, for flags are those of a process."""
    small = '--backbones=resnet18', '--clips=2', '--size=16', '--width=4', '--rounds=1', '--passes=forward'
    programs = tmp_path / 'programs'
    command = [sys.executable, '-c', STEPS, str(tmp_path), *small, '--norms=none,nosuch', '--record=kept']
    for arguments in ([], ['--each', f'--programs={programs}']):
        failed = subprocess.run([*command, *arguments], cwd=records.ROOT, capture_output=True, text=True)
        assert "'nosuch'" in failed.stderr
        found = records.read(tmp_path / 'kept.jsonl')
        assert len(found) == bool(arguments) == programs.exists()
    (record,) = found
    assert (record['backbone'], record['pass'], record['clips'], record['alone']['norms']) == (
        'resnet18', 'forward', 2, 'none',
    )  # fmt: skip
    assert record['alone']['seconds']['median'] > 0 and 'peak_in_use' in record['alone']
    assert any(path.name.startswith('jit_eval_step') for path in programs.iterdir())  # for the next benchmark


def test_frames_suit_the_strides_of_every_backbone():
    assert networks.FEWEST_FRAMES.keys() <= MODELS.keys()
    assert set(networks.FEWEST_FRAMES.values()) == {16}


def test_convolutions_of_a_network():
    found = roofline.convolutions(SMALL)
    names = Counter()
    for (layer, _), count in found.items():
        names[type(layer).__name__, layer.kernel] += count
    assert names == {('SpatialConv', 7): 1, ('SpatialConv', 3): 16, ('SpatialConv', 1): 3}
    temporal = roofline.convolutions(SMALL._replace(backbone='r2plus1d_18', frames=16))
    assert {type(layer).__name__ for layer, _ in temporal} == {'SpatialConv', 'TemporalConv'}


def test_roofs_by_hand():
    rate = {'flops': np.array([10.0, 20.0]), 'bytes': np.array([4.0, 8.0])}
    measured = roofline.against_roof(np.array([6.0, 6.0]), rate, flops=20.0, moved=12.0)
    assert measured['bound'] == 'memory'  # 2 s of arithmetic, 3 s of copies, and half of both in the second round
    assert measured['roof'] == {'median': 2.25, 'low': 1.875, 'high': 2.625}
    assert measured['distance'] == {'median': 3.0, 'low': 2.5, 'high': 3.5}
    assert roofline.against_roof(np.array([6.0, 6.0]), rate, flops=40.0, moved=12.0)['bound'] == 'arithmetic'


def test_a_norm_by_itself():
    flags.FLAGS.mark_as_parsed()
    point = growth.BASE | {'channels': 8}
    relayed, plain = (growth.forward_and_backward(norms, **point) for norms in ('cross_layer', 'batch'))
    y, gradients, updated = relayed()
    assert y.shape == (2, 8, 28, 28, 8) and updated.keys() == {'batch_stats'}
    assert set(gradients[0]) == {'relay'} and relayed.cost.flops > plain.cost.flops
