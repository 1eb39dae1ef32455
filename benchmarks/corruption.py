"""Random damage to the newest checkpoint: is it noticed, and does the older one take its place, bit for bit?

    python -m benchmarks.corruption --faults=100

Each fault is one flipped bit, a truncation at a random length or a deletion, of any file alike, the manifest too. The
same damaged folder is also read by Orbax alone, without the seal.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from functools import partial
from pathlib import Path

import jax
import numpy as np
from absl import logging
from orbax.checkpoint import v1 as ocp

from configs import moving_shapes
from dnr_jax import models, parallel
from dnr_jax.command.bars import bar
from dnr_jax.runs.checkpoints import Checkpoints
from dnr_jax.runs.state import TrainState, create_state
from dnr_jax.training import optimizers

OLDER, NEWEST = 1, 2
OUTCOMES = ('fell back', 'accepted', 'raised')  # of `dnr_jax.runs.checkpoints`
OUTCOMES_ALONE = ('right', 'wrong', 'raised')  # of Orbax alone: what it restored from the damaged folder


def flip(path: Path, rng: random.Random) -> None:
    """Flips one bit."""
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, rng: random.Random) -> None:
    """Cuts the file off, somewhere."""
    os.truncate(path, rng.randrange(path.stat().st_size))


def delete(path: Path, rng: random.Random) -> None:
    """Takes the file away."""
    path.unlink()


FAULTS = {'bit flip': flip, 'truncation': truncate, 'deletion': delete}


def strike(folder: Path, rng: random.Random) -> tuple[str, str]:
    """Does one fault to one file of a folder; returns its kind and the file."""
    kind, path = rng.choice(sorted(FAULTS)), rng.choice(sorted(path for path in folder.rglob('*') if path.is_file()))
    FAULTS[kind](path, rng)
    return kind, path.relative_to(folder).as_posix()


def same(one, other) -> bool:
    """Whether two trees hold the same bits."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(a.dtype == b.dtype and np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)


def make_state(step: int) -> TrainState:
    """A narrow ResNet-18 with its optimizer, other values for every step."""
    config = moving_shapes.get_config()
    config.model.width = 4
    optimizer = optimizers.make(lambda step: 0.1, **config.optimizer)
    model = models.build(**config.model.to_dict(), classes=8)
    create = partial(create_state, model=model, optimizer=optimizer, clip_shape=(1, 2, 32, 32, 3), averaged=True)
    shapes = jax.eval_shape(create, jax.random.key(0))
    rng = np.random.default_rng(step)
    state = jax.tree.map(lambda leaf: jax.numpy.asarray(rng.normal(size=leaf.shape), leaf.dtype), shapes)
    return state.replace(step=jax.numpy.int32(step))


def restore(folder: Path, states: dict[int, TrainState], like: TrainState) -> str:
    """One of OUTCOMES."""
    try:
        with Checkpoints(folder, keep=2) as checkpoints:
            step = checkpoints.latest.step
            restored = checkpoints.restore(step, like)
    except Exception:
        return 'raised'
    return 'fell back' if step == OLDER and same(restored, states[OLDER]) else 'accepted'


def load_alone(checkpoint: Path) -> dict:
    """All that Orbax alone reads from a checkpoint."""
    with warnings.catch_warnings(action='ignore'):  # that it reads the layout from the checkpoint too
        return ocp.load_checkpointables(checkpoint)


def restore_alone(checkpoint: Path, expected: dict) -> str:
    """One of OUTCOMES_ALONE."""
    try:
        return 'right' if same(load_alone(checkpoint), expected) else 'wrong'
    except Exception:
        return 'raised'


def measure(folder: Path, count: int, seed: int) -> list[dict[str, str]]:
    """So many faults, each to a copy of the checkpoints made in `folder`, and what became of them."""
    states = {step: make_state(step) for step in (OLDER, NEWEST)}
    like = parallel.abstract(states[NEWEST], parallel.replicated(parallel.make_mesh()))
    with Checkpoints(folder / 'whole', keep=2) as checkpoints:
        for state in states.values():
            checkpoints.save(state, {}, None)
    expected = load_alone(folder / 'whole' / str(NEWEST))
    assert same(expected['variables'], states[NEWEST].variables)
    rng, faults = random.Random(seed), []
    with bar(count, 'faults', 'fault', leave=True) as progress:
        for _ in range(count):
            copy = shutil.copytree(folder / 'whole', folder / 'copy')
            kind, file = strike(copy / str(NEWEST), rng)
            alone = restore_alone(copy / str(NEWEST), expected)
            faults.append({'kind': kind, 'file': file, 'outcome': restore(copy, states, like), 'alone': alone})
            shutil.rmtree(copy)
            progress.update()
    return faults


def as_table(faults: list[dict[str, str]]) -> str:
    """Outcomes by kind of fault."""
    titles = [*OUTCOMES, *(f'Orbax: {outcome}' for outcome in OUTCOMES_ALONE)]
    lines = [f'{"fault":>12} {"count":>6}' + ''.join(f'{title:>15}' for title in titles)]
    for kind in (*FAULTS, 'all'):
        rows = [fault for fault in faults if kind in (fault['kind'], 'all')]
        ours, alone = (Counter(row[key] for row in rows) for key in ('outcome', 'alone'))
        counts = [*(ours[outcome] for outcome in OUTCOMES), *(alone[outcome] for outcome in OUTCOMES_ALONE)]
        lines.append(f'{kind:>12} {len(rows):>6}' + ''.join(f'{count:>15}' for count in counts))
    return '\n'.join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--faults', type=int, default=100, help='how many; default: %(default)s')
    parser.add_argument('--seed', type=int, default=0, help='of the faults; default: %(default)s')
    parser.add_argument('--out', type=Path, help='JSON file to write the record to')
    options = parser.parse_args()
    logging.set_verbosity(logging.FATAL)  # every fault makes its warning, and Orbax its error
    with tempfile.TemporaryDirectory() as folder:
        faults = measure(Path(folder), options.faults, options.seed)
    print(as_table(faults))
    if options.out:
        options.out.write_text(json.dumps(faults, indent=2) + '\n')
    return int(any(fault['outcome'] != 'fell back' for fault in faults))


if __name__ == '__main__':
    sys.exit(main())
