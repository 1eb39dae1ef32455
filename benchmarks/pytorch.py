"""Training steps of ResNet-50 by this project and by PyTorch, in turns and in one process.

    python -m benchmarks.pytorch --clips=2 --size=112 --record=pytorch
    python -m benchmarks.pytorch --clips=64 --size=224 --dtype=bfloat16 --repeats=20 --record=pytorch

PyTorch has the ordinary networks of tests/pytorch, with batch norm and with relays, eager and, with --compiled, by
torch.compile: the same loss, clipping, weight decay and momentum. Both take random clips that stay on the device, and
all cores or the first GPU; on a GPU set XLA_PYTHON_CLIENT_PREALLOCATE=false, to leave PyTorch memory.
"""

import sys
from collections.abc import Callable

import jax
import numpy as np
import torch
from absl import app, flags
from torch.nn.functional import cross_entropy

from benchmarks.networks import CLASSES, NORMS, Settings, clip_shape, random_batch, settings_of, training
from benchmarks.options import REPEATS, ROUNDS, keep
from benchmarks.program import all_finite
from benchmarks.records import ROOT
from benchmarks.timing import alternate, spread
from configs import base

sys.path.insert(0, str(ROOT / 'tests/pytorch'))

import networks2d  # noqa: E402
import released  # noqa: E402

DTYPE = flags.DEFINE_string('dtype', 'float32', 'Of activations.')
COMPILED = flags.DEFINE_bool('compiled', False, 'PyTorch by torch.compile too.')
BACKBONE = 'resnet50'
NETWORKS = {
    'batch': lambda width, frames: networks2d.ResNet(width, CLASSES),
    'dnr': lambda width, frames: released.Released(width, CLASSES, frames),
}


class Queued:
    """What PyTorch has begun, to be waited for as one waits for arrays of JAX."""

    def block_until_ready(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()


def in_pytorch(settings: Settings, compiled: bool) -> Callable[[], Queued]:
    """A step of PyTorch with the optimizer of the base config."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    network = NETWORKS[settings.norms](settings.width, settings.frames).to(device).train()
    forward = torch.compile(network) if compiled else network
    optimizer, config = torch.optim.SGD, base.get_config().optimizer
    optimizer = optimizer(network.parameters(), lr=1e-3, momentum=config.momentum, weight_decay=config.weight_decay)
    batch = random_batch(clip_shape(settings), CLASSES)
    clip = torch.tensor(np.moveaxis(batch['clip'], -1, 2), device=device)
    label = torch.tensor(batch['label'], dtype=torch.long, device=device)
    as_bfloat16 = torch.autocast(device, torch.bfloat16, enabled=settings.dtype == 'bfloat16')

    def step() -> Queued:
        optimizer.zero_grad()
        with as_bfloat16:
            loss = cross_entropy(forward((clip.float() - 114.0) / 58.0), label)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
        optimizer.step()
        return Queued()

    return step


def main(_) -> None:
    jax.config.update('jax_enable_compilation_cache', False)
    torch.backends.cudnn.benchmark = True
    for norms in NORMS.value:
        settings = settings_of(BACKBONE, norms, DTYPE.value, devices=1)
        ours, _ = training(settings)
        runs = {'ours': ours, 'eager': in_pytorch(settings, compiled=False)}
        if COMPILED.value:
            runs['compiled'] = in_pytorch(settings, compiled=True)
        times = alternate(runs, ROUNDS.value, REPEATS.value)
        assert all_finite(ours()), 'results are not finite'
        rows = [
            {'by': name, 'seconds': spread(seconds), 'ratio': spread(times['ours'] / seconds)}
            for name, seconds in times.items()
        ]
        for row in rows:
            milliseconds, ratio = 1e3 * row['seconds']['median'], row['ratio']['median']
            print(f'{norms:>8} {row["by"]:>10} {milliseconds:9.1f} ms   ours to it {ratio:.3f}', flush=True)
        clips = {key: getattr(settings, key) for key in ('clips', 'frames', 'size', 'width', 'dtype')}
        version = {'pytorch': torch.__version__}
        keep({'backbone': BACKBONE, 'norms': norms, **clips, **version, 'variants': rows})


if __name__ == '__main__':
    app.run(main)
