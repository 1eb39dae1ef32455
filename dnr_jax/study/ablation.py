"""What it costs to take the relay away, at evaluation and without training anything again.

Some layers are ablated, the others stay as they are. Ablated in what they *hand out*, while the state moves on as
always:

    zero           scale and shift are 0
    mean           those of the mean over clips and hops: one scale and shift for all videos, as a static norm has
    mean_per_hop   those of the mean over clips: they move from hop to hop, but alike for all videos
    shuffle        those of its hops in a random order, for every clip and layer another
    reverse        those of its hops in the opposite order

or in their *memory*:

    cut:K          the state is zero again after every K hops; cut:1 remembers nothing

A relay along layers hands out one scale and shift per layer, which has no order; `shuffle` and `reverse` leave it be.

Axes: B clips, G frame groups, C channels, K classes.
"""

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Key

from dnr_jax import figures
from dnr_jax.compare.comparison import bootstrap
from dnr_jax.evaluation import metrics
from dnr_jax.files import AnyPath
from dnr_jax.norms.relay import relay_over_frames, zero_carry
from dnr_jax.norms.transforms import CrossLayerTransform
from dnr_jax.registry import choose
from dnr_jax.study.tracing import TRANSFORMS, Relay, layer_of, relay_of

HandedOut = Float[Array, 'B G C']  # scale or shift
CUT = 'cut:'


def zero(given: HandedOut, mean: Float[Array, 'G C'], keys: Key[Array, 'B']) -> HandedOut:
    return jnp.zeros_like(given)


def mean_over_hops(given: HandedOut, mean: Float[Array, 'G C'], keys: Key[Array, 'B']) -> HandedOut:
    return jnp.broadcast_to(mean.mean(axis=0)[None, None], given.shape)


def mean_per_hop(given: HandedOut, mean: Float[Array, 'G C'], keys: Key[Array, 'B']) -> HandedOut:
    return jnp.broadcast_to(mean[None], given.shape)


def shuffle(given: HandedOut, mean: Float[Array, 'G C'], keys: Key[Array, 'B']) -> HandedOut:
    return jax.vmap(jax.random.permutation)(keys, given)


def reverse(given: HandedOut, mean: Float[Array, 'G C'], keys: Key[Array, 'B']) -> HandedOut:
    return given[:, ::-1]


# ablation(handed out, its mean over clips, a key per clip) -> what takes its place. A new one is a new row.
ABLATIONS = {'zero': zero, 'mean': mean_over_hops, 'mean_per_hop': mean_per_hop, 'shuffle': shuffle, 'reverse': reverse}
NONE = 'none'


class Means(NamedTuple):
    """What a layer hands out, averaged over clips."""

    scale: Float[Array, 'G C']
    shift: Float[Array, 'G C']


def ablated(
    model: nn.Module,
    variables: Mapping[str, Any],
    clip: Float[Array, 'B T H W 3'],
    *,
    ablation: str,
    chosen: Mapping[str, bool | Bool[Array, '']],
    means: Mapping[str, Means],
    keys: Key[Array, 'B'],
) -> Float[Array, 'B K']:
    """Logits with some of the relayed layers ablated; pure, in evaluation mode.

    Args:
      ablation: a key of ABLATIONS, 'cut:K', or 'none'.
      chosen: whether a relayed layer is ablated, for each of them, see `matching`; of a compiled function, an input.
      means: of every relayed layer.
      keys: of random orders, one for each clip.
    Raises ValueError for an unknown ablation.
    """
    hops, replace = parse(ablation)
    made = Counter()  # hops of every relay along layers, so far

    def intercept(call: Callable, arguments: tuple, settings: dict[str, Any], context: nn.module.InterceptorContext):
        module = context.module
        if context.method_name != '__call__' or not isinstance(module, TRANSFORMS):
            return call(*arguments, **settings)
        layer, (carry, pooled) = layer_of(module), arguments
        along_layers = isinstance(module, CrossLayerTransform)
        if along_layers:
            made[module.cell.path] += 1
        if hops and along_layers and (made[module.cell.path] - 1) % hops == 0:
            carry = jax.tree.map(lambda of: jnp.where(chosen[layer], 0, of), carry)
        carry, given = call(carry, pooled)
        if hops and not along_layers:
            ablated = cut_frames(relay_of(module), variables, pooled, hops)
        elif replace:
            of_layer = jax.vmap(partial(jax.random.fold_in, data=zlib.crc32(layer.encode())))(keys)
            ablated = tuple(replace(of, mean, of_layer) for of, mean in zip(given, means[layer], strict=True))
        else:
            ablated = given
        return carry, jax.tree.map(partial(jnp.where, chosen[layer]), ablated, given)

    with nn.intercept_methods(intercept):
        return model.apply(variables, clip, train=False)


def matching(layers: Iterable[str], pattern: str) -> dict[str, bool]:
    """Whether a regular expression is found in the path of each layer: 'stage1/', 'norm2$', or '' for all.

    Raises ValueError if it is none, or is found nowhere.
    """
    try:
        found = {layer: bool(re.search(pattern, layer)) for layer in layers}
    except re.error as error:
        raise ValueError(f"Layers are chosen by a regular expression, got '{pattern}': {error}.") from error
    if not any(found.values()):
        raise ValueError(f"No relayed layer is found by '{pattern}' among {', '.join(found)}.")
    return found


def parts(layers: Sequence[str]) -> list[str]:
    """Patterns for all layers, for those of each stage, and of each norm of a block; none twice for the same layers."""
    stages = [layer.rsplit('/', 2)[0] + '/' for layer in layers]
    slots = [layer.rsplit('/', 1)[1] + '$' for layer in layers]
    found = {}
    for pattern in ['', *stages, *slots]:
        found.setdefault(tuple(matching(layers, pattern).values()), pattern)
    return list(found.values())


def parse(ablation: str) -> tuple[int, Callable | None]:
    """The hops after which the state is cut, or 0, and what replaces what is handed out, or None; ValueError."""
    if ablation == NONE:
        return 0, None
    if ablation.startswith(CUT):
        hops = ablation.removeprefix(CUT)
        if not hops.isdigit() or int(hops) < 1:
            raise ValueError(f"An ablation 'cut:K' cuts after K hops, at least 1, got '{ablation}'.")
        return int(hops), None
    return 0, choose(ABLATIONS | {f'{CUT}K': None}, ablation, 'ablation')


def cut_frames(
    relay: Relay, variables: Mapping[str, Any], pooled: Float[Array, 'B G C'], hops: int
) -> tuple[HandedOut, HandedOut]:
    """Scale and shift of a relay along frames that begins anew every so many hops: each part is a clip of its own."""
    clips, groups, channels = pooled.shape
    padded = jnp.pad(pooled, [(0, 0), (0, -groups % hops), (0, 0)])  # behind the last hop, which does not hear of it
    parts = padded.reshape(-1, hops, channels)
    carry = zero_carry(len(parts), channels)
    _, (scale, shift) = relay.cell.apply(relay.variables(variables), carry, parts, method=relay_over_frames)
    return tuple(of.reshape(clips, -1, channels)[:, :groups] for of in (relay.gain * scale, shift))


class Cost(NamedTuple):
    """What one ablation at some layers costs."""

    layers: str  # the regular expression
    ablated: int  # layers it is found in
    ablation: str
    top1: float
    cost: float  # top-1 without ablation less this one
    low: float  # of the confidence interval of the cost, by the paired bootstrap of `compare`
    high: float
    changed: float  # share of clips whose prediction is another

    @property
    def unsure(self) -> bool:
        """Whether it may be none."""
        return self.low <= 0 <= self.high


def cost(layers: str, ablated: int, ablation: str, logits: np.ndarray, plain: np.ndarray, labels: np.ndarray) -> Cost:
    """From the logits [N K] with ablation and without, of the same clips."""
    right, before = metrics.right(logits, labels), metrics.right(plain, labels)
    low, high = bootstrap(int((right & ~before).sum()), int((before & ~right).sum()), len(labels))
    changed = (logits.argmax(axis=1) != plain.argmax(axis=1)).mean()
    top1 = float(right.mean())
    return Cost(layers, ablated, ablation, top1, float(before.mean()) - top1, low, high, float(changed))


def to_text(costs: Sequence[Cost], top1: float) -> str:
    """A table: a row for each choice of layers, a column for each ablation."""
    rows, columns = choices(costs)
    found = {(of.layers, of.ablation): of for of in costs}
    names = [row_name(row, costs) for row in rows]
    width = max(map(len, names))
    lines = [
        f'top-1 without ablation {top1:.1%}; points of it that an ablation costs, and half their confidence interval:',
        f'{"":{width}}' + ''.join(f'{column:>14}' for column in columns),
    ]
    for row, name in zip(rows, names, strict=True):
        lines.append(f'{name:{width}}' + ''.join(f'{points(found[row, column]):>14}' for column in columns))
    return '\n'.join(lines)


def points(of: Cost) -> str:
    """What it costs in points of top-1, with half the width of the confidence interval."""
    return f'{100 * of.cost:.1f} ± {50 * (of.high - of.low):.1f}'


def choices(costs: Sequence[Cost]) -> tuple[list[str], list[str]]:
    """The choices of layers, and the ablations."""
    return list(dict.fromkeys(of.layers for of in costs)), list(dict.fromkeys(of.ablation for of in costs))


def row_name(layers: str, costs: Sequence[Cost]) -> str:
    ablated = next(of.ablated for of in costs if of.layers == layers)
    return f'{layers or "all"} ({ablated} layer{"s" * (ablated > 1)})'


def draw(path: AnyPath, costs: Sequence[Cost], title: str) -> None:
    """The same table as a picture."""
    rows, columns = choices(costs)
    found = {(of.layers, of.ablation): of for of in costs}
    values = np.array([[100 * found[row, column].cost for column in columns] for row in rows])
    figure = figures.figure(max(7, 3.2 + 1.15 * len(columns)), 1.9 + 0.42 * len(rows))
    axis = figure.subplots()
    most = max(np.abs(values).max(), 1)
    unsure = np.array([[found[row, column].unsure for column in columns] for row in rows])
    axis.set_facecolor('white')
    image = axis.imshow(np.ma.masked_where(unsure, values), cmap='PuOr_r', vmin=-most, vmax=most, aspect='auto')
    for (i, j), value in np.ndenumerate(values):
        text, sure = points(found[rows[i], columns[j]]), not unsure[i, j]
        colour = 'white' if sure and abs(value) > 0.6 * most else 'black' if sure else 'grey'
        axis.text(j, i, text, ha='center', va='center', fontsize='small', color=colour)
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(rows)), [row_name(row, costs) for row in rows])
    axis.set(xlabel='ablation', ylabel='layers ablated')
    figure.colorbar(image, ax=axis, label='top-1 it costs, points\n(white: may be none)')
    figures.title(figure, title)
    figures.save(figure, path)
