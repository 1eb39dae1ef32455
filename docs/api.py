"""Writes docs/api.md from the docstrings of the package: python -m docs.api

What is shown, and the examples, stand here; tests/pages/test_api.py runs them from top to bottom.
"""

import argparse
import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).with_suffix('.md')


class Section(NamedTuple):
    """Of the page."""

    title: str
    text: str
    names: tuple[str, ...]  # of functions and classes, dotted


INTRODUCTION = """# The library

Written from docstrings by `python -m docs.api`. Axes everywhere: B clips, T frames, G groups of frames, H height,
W width, C channels, K classes; channels last. All that computes is a pure function of its variables, to be jitted,
mapped and differentiated. A name that is not here can change without a word.
"""

SECTIONS = (
    Section(
        'A trained model',
        """
```python
import dnr_jax

model = dnr_jax.load('runs/dnr')
model.predict('clip.mp4')  # {'grow': 0.98, ...}, the likeliest first
model.features('clip.mp4')  # an array of C numbers
```
""",
        (
            'dnr_jax.load',
            'dnr_jax.library.Model',
            'dnr_jax.library.Model.predict',
            'dnr_jax.library.Model.features',
            'dnr_jax.predict.whole.find',
        ),
    ),
    Section(
        'A network',
        """
Compile `init`: by itself it runs operation by operation, which takes minutes.

```python
from functools import partial

import jax
import jax.numpy as jnp

network = dnr_jax.build('resnet18', norms='dnr', classes=5, width=8, norm={'groups': 4})
clip = jnp.zeros((2, 4, 32, 32, 3))  # pixels, standardized: see normalize_pixels
variables = jax.jit(partial(network.init, train=False))(jax.random.key(0), clip)
logits = jax.jit(partial(network.apply, train=False))(variables, clip)  # [2 5]
```

A training step moves the running statistics, and drops features out:

```python
forward = jax.jit(partial(network.apply, train=True, mutable=['batch_stats']))
logits, moved = forward(variables, clip, rngs={'dropout': jax.random.key(1)})
variables = {**variables, **moved}
```

On several devices, give each its own clips by `jax.shard_map`, as `dnr_jax.parallel` does. A network that is jitted
over clips which are sharded takes the statistics of batch norms over all devices instead of each, and on TPUs exchanges
activations: frames reach their neighbours by matmuls over all frames of an array.

All backbones and norms: [`backbones.md`](backbones.md). Weights of a trained model are its `variables`, those of
PyTorch come by [`weights.md`](weights.md).
""",
        ('dnr_jax.build', 'dnr_jax.models.build', 'dnr_jax.models.pixels.normalize_pixels'),
    ),
    Section(
        'The relay',
        """
```python
from dnr_jax.norms import RelayCell, relay_over_frames, zero_carry

cell = RelayCell(features=64, reduction=4)
pooled = jax.random.normal(jax.random.key(0), (2, 4, 64))  # [B G C]
variables_of_cell = cell.init(jax.random.key(1), zero_carry(2, 64), pooled[:, 0])
over_frames = partial(cell.apply, variables_of_cell, zero_carry(2, 64), method=relay_over_frames)
carry, (scale, shift) = over_frames(pooled)
heard = jax.jacobian(lambda pooled: over_frames(pooled)[1][0][0, -1].sum())(pooled)  # what the last hop hears of each
```

The method on one page is [`relay.py`](../dnr_jax/norms/relay.py).
""",
        (
            'dnr_jax.norms.RelayCell',
            'dnr_jax.norms.zero_carry',
            'dnr_jax.norms.relay_over_frames',
            'dnr_jax.norms.make_norm',
            'dnr_jax.norms.Norm',
        ),
    ),
    Section(
        'What a relay does',
        """
```python
from dnr_jax import study

traced = jax.jit(partial(study.trace, network))(variables, clip)
traced['stage1/block1/norm2'].h  # the scales that a relay hands out, [B G C]
```

As a command, with pictures: [`study.md`](study.md).
""",
        ('dnr_jax.study.trace', 'dnr_jax.study.influence', 'dnr_jax.study.ablated'),
    ),
    Section(
        'Video without end',
        """
```python
from dnr_jax import streaming

causal = dnr_jax.build('resnet18', norms='dnr_temporal', classes=5, width=8)
groups = jnp.zeros((3, 1, 2, 32, 32, 3))  # [G B T H W C], T the stride of the relay
variables = jax.jit(partial(causal.init, train=False))(jax.random.key(0), groups[0])
carry = streaming.init(causal, variables, groups[0].shape)
step = jax.jit(partial(streaming.step, causal))
for group in groups:
    carry, logits = step(variables, carry, group)  # logits of all that was seen, [1 5]
```
""",
        (
            'dnr_jax.streaming.init',
            'dnr_jax.streaming.step',
            'dnr_jax.streaming.steps',
            'dnr_jax.streaming.frames_per_group',
        ),
    ),
    Section(
        'Data',
        """
Free of JAX; a data set is prepared once, see [`data.md`](data.md).

```python
from dnr_jax.data import pipeline
from dnr_jax.data.source import open_split

videos = open_split('moving_shapes/tiny', 'data', 'validation')
views = {'sampling': 'dense', 'frames': 8, 'stride': 2, 'clips': 1, 'crops': 1, 'short_side': 36, 'size': 32}
alone = {'workers': 0, 'shard_index': 0, 'shard_count': 1}  # this process reads them all, in threads
batches = pipeline.eval_batches(videos, **views, **alone, damaged='stop', batch_size=4)
batch = next(iter(batches))  # {'clip': uint8 [4 1 8 32 32 3], 'label': [4], ...}
```
""",
        ('dnr_jax.data.source.open_split', 'dnr_jax.data.pipeline.train_batches', 'dnr_jax.data.pipeline.eval_batches'),
    ),
)


def main() -> None:
    argparse.ArgumentParser(prog='python -m docs.api', description=__doc__).parse_args()
    PAGE.write_text(page())


def page() -> str:
    """The text of docs/api.md."""
    parts = [INTRODUCTION]
    for section in SECTIONS:
        parts += [f'## {section.title}\n', section.text.strip() + '\n', *map(entry, section.names)]
    return '\n'.join(parts)


def entry(name: str) -> str:
    """A function or class by its dotted name: how it is called, and its docstring in Markdown."""
    described = find(name)
    docstring = re.sub('\n{3,}', '\n\n', '\n'.join(markdown(inspect.getdoc(described))))
    return f'### `{name}`\n\n```python\n{signature(described)}\n```\n\n{docstring}\n'


def find(name: str):
    """What has that name, in the module that the longest part of it names."""
    parts = name.split('.')
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module('.'.join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise ValueError(f'There is no {name}.')


def signature(described) -> str:
    """As the source has it."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(described))).body
    if isinstance(node, ast.ClassDef):
        fields = [f'    {ast.unparse(of)}' for of in node.body if isinstance(of, ast.AnnAssign)]
        return '\n'.join([f'class {node.name}:', *fields]) if fields else f'class {node.name}: ...'
    returned = f' -> {ast.unparse(node.returns)}' if node.returns else ''
    listed = list(arguments(node.args))
    in_one = f'def {node.name}({", ".join(listed)}){returned}: ...'
    if len(in_one) <= 120:
        return in_one
    return '\n'.join([f'def {node.name}(', *(f'    {each},' for each in listed), f'){returned}: ...'])


def arguments(of: ast.arguments) -> Iterator[str]:
    """Each with its type and default, and the star that parts them."""
    defaults = [None] * (len(of.args) - len(of.defaults)) + of.defaults
    for argument, default in zip(of.args, defaults, strict=True):
        yield written(argument, default)
    if of.kwonlyargs:
        yield '*'
    for argument, default in zip(of.kwonlyargs, of.kw_defaults, strict=True):
        yield written(argument, default)
    if of.kwarg:
        yield f'**{written(of.kwarg, None)}'


def written(argument: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(argument) + (f' = {ast.unparse(default)}' if default else '')


def markdown(docstring: str) -> Iterator[str]:
    """The lines of a docstring; what stands under Args, Attributes and the like as a list."""
    listed = False
    for line in docstring.splitlines():
        if re.fullmatch(r'(Args|Attributes|Returns|Raises):', line):
            listed = True
            yield from ('', line, '')
        elif listed and (item := re.match(r'  (\w[\w, ]*): (.*)', line)):
            yield f'* `{item[1]}`: {item[2]}'
        elif listed and line and not line.startswith('  '):
            listed = False
            yield from ('', line)
        else:
            yield line.strip() and f'{"  " * listed}{line.strip()}'


if __name__ == '__main__':
    main()
