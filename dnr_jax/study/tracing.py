"""What a relayed network does with a clip, as arrays.

A layer that is normalized by a relay reads `pooled`, decides with four gates, and hands out scale `h` and shift `c`:

    c = forget * c' + input * cell
    h = output * sigmoid(c)                               (h', c') of the hop before
    y = h * (x - mean) / sqrt(var + epsilon) + c

Where the norm gives its scale a gain, `h` is the scale, gain times what the next hop reads.

The hops of one relay are the frame groups of a layer, or the layers of a stage; either way they are a chain, along
which the arrays of its layers are joined: [B N C].

Axes: B clips, G frame groups, N hops of a relay, C channels, K classes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jax import Array
from jax.nn import sigmoid, tanh
from jaxtyping import Float

from dnr_jax import figures
from dnr_jax.files import AnyPath
from dnr_jax.norms.relay import Carry, RelayCell
from dnr_jax.norms.statistics import BatchStatistics, GroupStatistics
from dnr_jax.norms.transforms import CrossLayerTransform, CrossTemporalTransform
from dnr_jax.runs.transfer import in_order

TRANSFORMS = CrossLayerTransform, CrossTemporalTransform
STATISTICS = BatchStatistics, GroupStatistics
GATES = 'input', 'forget', 'cell', 'output'
FRAMES, LAYERS = 'frames', 'layers'  # what a relay hops along


class LayerTrace(NamedTuple):
    """One relayed layer, all [B G C] and float32; G is 1 where the relay hops along layers."""

    pooled: Float[Array, 'B G C']  # mean of x over the frames and positions of a group
    input: Float[Array, 'B G C']  # gates, behind their sigmoid, ...
    forget: Float[Array, 'B G C']
    cell: Float[Array, 'B G C']  # ... and this one behind its tanh
    output: Float[Array, 'B G C']
    h: Float[Array, 'B G C']  # scale
    c: Float[Array, 'B G C']  # shift
    h_before: Float[Array, 'B G C']  # the state that each hop was handed, h', ...
    c_before: Float[Array, 'B G C']  # ... and c'; zero at the first, but of an onward relay
    mean: Float[Array, 'B G C']  # by which x was standardized: running averages, or those of a group norm
    var: Float[Array, 'B G C']


class Relay(NamedTuple):
    """A cell, and the layers it makes its hops in: one layer, frame group by frame group, or several of a stage."""

    name: str  # of the layer ('stage1/block1/norm2'), or of the stage ('stage1')
    over: str  # FRAMES or LAYERS
    layers: tuple[str, ...]  # in the order of its hops
    cell: RelayCell
    path: tuple[str, ...]  # of the cell's parameters
    gain: float  # of its scale

    def along(self, per_layer: Mapping[str, Float[Array, 'B _ _']]) -> Float[Array, 'B N C']:
        """Arrays of its layers joined along its hops."""
        return jnp.concatenate([per_layer[layer] for layer in self.layers], axis=1)

    def variables(self, of_model: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the cell, to be given to `cell.apply`."""
        params = of_model['params']
        for name in self.path:
            params = params[name]
        return {'params': params}


def trace(model: nn.Module, variables: Mapping[str, Any], clip: Float[Array, 'B T H W 3']) -> dict[str, LayerTrace]:
    """All relayed layers by their path in the network; none where it has no relay.

    Pure, for any backbone of `models.MODELS`, in evaluation mode. A single clip is a batch of one: to map over clips,
    `jax.vmap(lambda clip: trace(model, variables, clip[None]))`. Compiled, keys come back sorted; see
    `transfer.in_order`.
    """
    return observe(model, variables, clip)[1]


def observe(
    model: nn.Module, variables: Mapping[str, Any], clip: Float[Array, 'B T H W 3']
) -> tuple[Float[Array, 'B *features'], dict[str, LayerTrace], list[Relay]]:
    """What the model returns, the trace, and the relays in the order of the network."""
    relays, paths = {}, {}

    def keep(call: Callable, arguments: tuple, settings: dict[str, Any], context: nn.module.InterceptorContext):
        result, module = call(*arguments, **settings), context.module
        if context.method_name == '__call__' and isinstance(module, TRANSFORMS):
            (carry, pooled), (_, (h, c)) = arguments, result
            h_before, c_before = handed_to(module, carry, h, c)
            sow(module, pooled=pooled, h=h, c=c, h_before=h_before, c_before=c_before)
            relay = relay_of(module)
            paths[layer_of(module)] = '/'.join(module.path)
            before = relays.get(relay.path, relay._replace(layers=()))
            relays[relay.path] = relay._replace(layers=before.layers + relay.layers)
        if context.method_name == '__call__' and isinstance(module, STATISTICS):
            mean, var = result
            sow(module, mean=mean, var=var)
        return result

    with nn.intercept_methods(keep):
        result, kept = model.apply(variables, clip, train=False, mutable=['trace'])
    kept = flatten_dict(kept.get('trace', {}), sep='/')
    layers = {}
    for relay in relays.values():
        for layer in relay.layers:
            of = {name: kept[f'{paths[layer]}/{name}'] for name in ('pooled', 'h', 'c', 'h_before', 'c_before')}
            decided = dict(zip(GATES, gates(relay, variables, of['pooled'], of['h_before']), strict=True))
            statistics = {
                name: jnp.broadcast_to(kept[f'{layer}/statistics/{name}'], of['h'].shape) for name in ('mean', 'var')
            }
            layers[layer] = LayerTrace(**of, **decided, **statistics)
    return result, layers, list(relays.values())


def sow(module: nn.Module, **values: Array) -> None:
    """Keeps the values under the path of the module; a lifted transform such as `nn.remat` lets them pass."""
    for name, value in values.items():
        module.sow('trace', name, value, init_fn=lambda: None, reduce_fn=lambda _, value: value)


def handed_to(transform: nn.Module, carry: Carry, h: Array, c: Array) -> tuple[Array, Array]:
    """The state that each hop of a layer read, each [B G C]: the carry, or that of the frame group before."""
    if isinstance(transform, CrossLayerTransform):
        return carry[0][:, None], carry[1][:, None]
    shifted = ((0, 0), (1, 0), (0, 0))
    return jnp.pad(h[:, :-1] / transform.gain, shifted), jnp.pad(c[:, :-1], shifted)


def layer_of(part: nn.Module) -> str:
    """The path of the norm that a statistics or a transform is part of, where it is added to another as well."""
    names = [name if name not in ('statistics', 'transform') else '' for name in part.path]
    return '/'.join(part.path[: names.index('')])


def relay_of(transform: nn.Module) -> Relay:
    """The relay a transform belongs to, with this layer alone."""
    layer = layer_of(transform)
    if isinstance(transform, CrossLayerTransform):
        cell, path = transform.cell, transform.cell.path
        alone = RelayCell(cell.features, cell.reduction, parent=None)
        return Relay('/'.join(path[:-1]), LAYERS, (layer,), alone, path, transform.gain)
    path = (*transform.path, 'relay')
    features = transform.variables['params']['relay']['input_gates']['reduce']['kernel'].shape[0]
    alone = RelayCell(features, transform.reduction, parent=None)
    return Relay(layer, FRAMES, (layer,), alone, path, transform.gain)


def gates(
    relay: Relay, variables: Mapping[str, Any], pooled: Float[Array, 'B G C'], h_before: Float[Array, 'B G C']
) -> tuple[Array, Array, Array, Array]:
    """The GATES of every hop, each [B G C], from what it read."""
    of_cell = relay.variables(variables)
    total = relay.cell.apply(
        of_cell, pooled, h_before, method=lambda cell, p, h: cell.input_gates(p) + cell.state_gates(h)
    )
    i, f, g, o = jnp.split(total, 4, axis=-1)
    return sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)


def find_relays(model: nn.Module, variables: Mapping[str, Any], clip_shape: tuple[int, ...]) -> list[Relay]:
    """The relays of a model in the order of the network, without computing; ValueError if it has none."""
    found = []
    jax.eval_shape(
        lambda variables, clip: found.extend(observe(model, variables, clip)[2]),
        variables,
        jax.ShapeDtypeStruct(clip_shape, jnp.float32),
    )
    if not found:
        raise ValueError(
            "Expected a network with a relay, got one whose norms are all static; relayed norms are those of 'dnr' and "
            "the other presets with 'cross_layer' or 'cross_temporal'."
        )
    return found


class LayerSummary(NamedTuple):
    """One layer of one clip in a few numbers, over its hops and channels."""

    layer: str
    over: str  # what its relay hops along
    hops: int  # in this layer
    scale_low: float
    scale_high: float
    scale_moves: float | None  # from one hop to the next, root mean square; None where there is no hop before
    shift_low: float
    shift_high: float
    shift_moves: float | None
    input: float  # means of the gates, ...
    forget: float
    cell: float  # ... of this one, of its size
    output: float


def summarize(relays: Iterable[Relay], layers: Mapping[str, LayerTrace]) -> list[LayerSummary]:
    """The layers of a trace of one clip, in the order of the network."""
    layers, found = jax.tree.map(np.asarray, layers), {}
    for relay in relays:
        steps = [moves(relay, {layer: getattr(layers[layer], of) for layer in relay.layers}) for of in ('h', 'c')]
        for layer in relay.layers:
            of = layers[layer]
            ranges = [
                (float(x.min()), float(x.max()), step[layer]) for x, step in zip((of.h, of.c), steps, strict=True)
            ]
            gates = (float(gate.mean()) for gate in (of.input, of.forget, abs(of.cell), of.output))
            found[layer] = LayerSummary(layer, relay.over, of.h.shape[1], *ranges[0], *ranges[1], *gates)
    return [found[layer] for layer in in_order(found)]


def moves(relay: Relay, per_layer: Mapping[str, Float[np.ndarray, 'B G C']]) -> dict[str, float | None]:
    """How far the relay has moved at each layer, a root mean square over the hops that have one before."""
    of_hops = np.concatenate([per_layer[layer] for layer in relay.layers], axis=1)
    first, *rest = np.split(np.diff(of_hops, axis=1, prepend=of_hops[:, :1]), len(relay.layers), axis=1)
    steps = dict(zip(relay.layers, (first[:, 1:], *rest), strict=True))  # no step leads to the first hop of all
    return {layer: float(np.sqrt(np.mean(of**2))) if of.size else None for layer, of in steps.items()}


def to_text(summaries: Iterable[LayerSummary]) -> str:
    """A table with a line for each layer."""
    width = max(len(of.layer) for of in summaries)
    lines = [
        f'{"":{width}}  over   hops {"scale":>15}  moves {"shift":>15}  moves  input forget |cell| output',
    ]
    for of in summaries:
        scale, shift = f'{of.scale_low:.2f} to {of.scale_high:.2f}', f'{of.shift_low:.2f} to {of.shift_high:.2f}'
        moves = ['-' if step is None else f'{step:.3f}' for step in (of.scale_moves, of.shift_moves)]
        lines.append(
            f'{of.layer:{width}}  {of.over:6} {of.hops:4} {scale:>15} {moves[0]:>6} {shift:>15} {moves[1]:>6} '
            f'{of.input:6.2f} {of.forget:6.2f} {of.cell:6.2f} {of.output:6.2f}'
        )
    return '\n'.join(lines)


def draw(path: AnyPath, summaries: Sequence[LayerSummary], clip: np.ndarray, title: str) -> None:
    """The same table as a picture, below the frames of the clip, uint8 [T H W C]; the first layer on top."""
    names = [of.layer for of in summaries]
    height = min(max(2.5, 0.24 * len(names) + 1), 16)
    figure = figures.figure(11, height + 1.5)
    above, below = figure.subfigures(2, 1, height_ratios=[1.3, height])
    figures.show_frames(above.subplots(), clip)
    axes = below.subplots(1, 3, width_ratios=[3, 3, 2], sharey=True)
    for axis, which in zip(axes, ('scale', 'shift'), strict=False):
        draw_ranges(axis, summaries, which)
    shares = np.array([(of.input, of.forget, of.cell, of.output) for of in summaries])
    axes[2].imshow(shares, cmap='Blues', vmin=0, vmax=1, aspect='auto')
    for (row, column), share in np.ndenumerate(shares):
        colour = 'white' if share > 0.5 else 'black'
        axes[2].text(column, row, f'{share:.2f}', ha='center', va='center', fontsize='x-small', color=colour)
    axes[2].set_xticks(range(len(GATES)), ['input', 'forget', '|cell|', 'output'], fontsize='small')
    axes[2].set_xlabel('gates, mean')
    every = -(-len(names) // 60)
    axes[0].set_yticks(range(0, len(names), every), names[::every], fontsize='small')
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    below.legend(*axes[0].get_legend_handles_labels(), loc='outside lower left', ncols=2, fontsize='small')
    figures.title(figure, title)
    figures.save(figure, path)


def draw_ranges(axis, summaries: Sequence[LayerSummary], which: str) -> None:
    """From the lowest to the highest scale or shift of every layer, in the colour of what its relay hops along."""
    for number, over in enumerate((FRAMES, LAYERS)):
        rows = [row for row, of in enumerate(summaries) if of.over == over]
        low, high = (np.array([getattr(summaries[row], f'{which}_{end}') for row in rows]) for end in ('low', 'high'))
        colour = figures.style(number, 2)['color']
        axis.barh(rows, high - low, left=low, height=0.6, color=colour, label=f'relay along {over}')
    axis.use_sticky_edges = False  # lest the longest bar end at the frame
    axis.autoscale_view(scaley=False)
    axis.set_xlabel(f'{which}: lowest to highest')
    figures.grid(axis, 'x')
