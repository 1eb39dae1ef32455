"""What every backbone costs, as a table: python -m dnr_jax.models

Parameters with 400 classes, and multiply-adds of one clip of 8 frames, counted in the traced network: of its
convolutions and matrix products, which is what publications count. SlowFast and I3D take the clips of their names.
"""

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dnr_jax import library
from dnr_jax.command.bars import bar
from dnr_jax.command.terminal import tell
from dnr_jax.models import MODELS
from dnr_jax.models.counting import multiply_adds
from dnr_jax.models.slowfast import SLOWFASTS
from dnr_jax.registry import choose

CLASSES = 400
FRAMES = {'i3d_resnet50': 32} | dict.fromkeys(SLOWFASTS, 32)  # 8 of all others
PRESETS = ('batch', 'dnr')
# What is published of the networks with batch norm: millions of parameters; multiply-adds, in 1e9, and the crop.
# Sources: model zoos of MMAction2, PySlowFast, PyTorchVideo and torchvision.
PUBLISHED = {
    'resnet50': '24.33 M',
    'tsm_resnet50': '24.33 M; 32.9 at 224',
    'tanet_resnet50': '25.6 M; 43.0 at 256',
    'slowonly_resnet50': '32.45 M; 54.8 at 256',
    'i3d_resnet50': '28.0 M; 43.5 at 256',
    'i3d_resnet50_8x8': '28.04 M; 37.5 at 256',
    'r2plus1d_18': '31.5 M',
    'r2plus1d_34': '63.8 M; 53.1 at 256',
    'slowfast_resnet50_4x16': '34.5 M; 36.3 at 256',
    'slowfast_resnet50_8x8': '34.6 M; 66.1 at 256',
    'pyslowfast_resnet50_8x8': '34.57 M; 65.71 at 256',
}


class Cost(NamedTuple):
    """Of one network."""

    parameters: int
    multiply_adds: dict[int, int]  # by crop


def cost(backbone: str, norms: str, sizes: tuple[int, ...]) -> Cost:
    """Parameters, and multiply-adds of a clip, without computing or compiling anything."""
    # One group divides the channels of every backbone; statistics change neither count.
    model = library.build(backbone, norms=norms, classes=CLASSES, norm={'stride': 1, 'groups': 1})
    counted = {}
    for size in sizes:
        clip = jax.ShapeDtypeStruct((1, FRAMES.get(backbone, 8), size, size, 3), jnp.float32)
        variables = jax.eval_shape(partial(model.init, train=False), jax.random.key(0), clip)
        counted[size] = multiply_adds(jax.jit(partial(model.apply, train=False)).trace(variables, clip))
    return Cost(sum(leaf.size for leaf in jax.tree.leaves(variables['params'])), counted)


def table(backbones: list[str], sizes: tuple[int, ...]) -> Iterator[str]:
    """Its lines, in Markdown."""
    at = ' | '.join(f'at {size}' for size in sizes)
    yield f'| backbone | parameters | {at} | published | with `dnr`: parameters | {at} |'
    yield f'| --- | ---: | {"---: | " * len(sizes)}--- | ---: | {"---: | " * len(sizes)}'.rstrip()
    for backbone in backbones:
        cells = []
        for norms in PRESETS:
            found = cost(backbone, norms, sizes)
            cells.append([f'{found.parameters:,}', *(f'{found.multiply_adds[size] / 1e9:.2f}' for size in sizes)])
        plain, relayed = cells
        yield f'| `{backbone}` | {" | ".join(plain)} | {PUBLISHED.get(backbone, "")} | {" | ".join(relayed)} |'


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m dnr_jax.models', description=__doc__.split(':')[0])
    parser.add_argument('backbones', nargs='*', help='which; default: all')
    parser.add_argument('--sizes', type=int, nargs='+', default=[224, 256], help='of the crop; default: 224 256')
    options = parser.parse_args()
    try:
        for backbone in options.backbones:
            choose(MODELS, backbone, 'backbone')
    except ValueError as error:
        tell(str(error), file=sys.stderr)
        sys.exit(2)
    backbones = options.backbones or list(MODELS)
    with bar(len(backbones) + 2, 'tracing', ' lines', leave=False) as progress:
        lines = []
        for line in table(backbones, tuple(options.sizes)):
            lines.append(line)
            progress.update()
    tell('\n'.join(lines))


if __name__ == '__main__':
    main()
