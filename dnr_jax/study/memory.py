"""How far back a relay remembers.

Take what its hops read, p_1 ... p_N, as independent inputs, and the relay alone as a function of them, from the zero
state: (h_1 ... h_N) = relay(p_1 ... p_N). The influence of hop s on hop t is

    I[t, s] = || d h_t / d p_s ||_F / sqrt(C)

the root mean square, over the channels of the scale at t, of the length of its gradient. It is zero for s > t. In the
whole network p_s also depends on what earlier layers did; that path is left out, so this is the memory of the relay
itself, at the inputs that real clips give it. Hops are frame groups, or the layers of a stage: then I[m, l] is what
layer l still says at layer m through the carry.

    memory(d) = mean_t I[t, t - d] / mean_t I[t, t]          means over the hops t that have one d hops before

A relay is *deaf* where nothing it reads changes what it hands out: all ReLUs that its reading passes are off.

Axes: B clips, N hops, C channels.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from dnr_jax import figures
from dnr_jax.files import AnyPath
from dnr_jax.norms.relay import relay_over_frames
from dnr_jax.study.tracing import LAYERS, Relay, observe

MOST_DRAWN = 12  # relays that get a matrix of their own


def influence(
    model: nn.Module, variables: Mapping[str, Any], clip: Float[Array, 'B T H W 3']
) -> dict[str, Float[Array, 'B N N']]:
    """I[t, s], how strongly the scale at hop t hears of the features at hop s, of every relay by its name; pure."""
    _, layers, relays = observe(model, variables, clip)
    pooled = {name: of.pooled for name, of in layers.items()}
    found = {}
    for relay in relays:
        first, of_clip = layers[relay.layers[0]], partial(relay_influence, relay, relay.variables(variables))
        start = first.h_before[:, 0], first.c_before[:, 0]
        found[relay.name] = jax.lax.map(lambda of, of_clip=of_clip: of_clip(*of), (start, relay.along(pooled)))
    return found


def relay_influence(
    relay: Relay, variables: Mapping[str, Any], start: tuple[Float[Array, 'C'], ...], pooled: Float[Array, 'N C']
) -> Float[Array, 'N N']:
    """I[t, s] of one relay, which begins with the state `start`, for one clip."""

    def scale(pooled):
        carry = tuple(of[None] for of in start)
        _, (h, _) = relay.cell.apply(variables, carry, pooled[None], method=relay_over_frames)
        return relay.gain * h[0]

    jacobian = jax.jacrev(scale)(pooled)  # [t C s C]
    return jnp.sqrt(jnp.square(jacobian).sum(axis=(1, 3)) / relay.cell.features)


def memory(of: Float[np.ndarray, 'N N']) -> np.ndarray:
    """The curve memory(d), d = 0 ... N - 1, of one matrix I[t, s]; zeros where it is zero, for a relay that is deaf."""
    curve = np.array([np.diagonal(of, -d).mean() for d in range(len(of))])
    return curve / curve[0] if curve[0] else curve


def to_text(relays: Sequence[Relay], influences: Mapping[str, np.ndarray]) -> str:
    """A line for each relay: how strongly its hops hear of what they read, and its memory(d), hop by hop back."""
    width = max(len(relay.name) for relay in relays)
    hops = max(map(len, influences.values()))
    lines = [f'{"":{width}}  over    I[t, t]  memory' + ''.join(f'{f"d = {d}":>8}' for d in range(1, hops))]
    for relay in relays:
        own, curve = influences[relay.name].diagonal().mean(), memory(influences[relay.name])
        cells = ''.join(f'{of:8.3f}' for of in curve[1:]) if own else '  it is deaf: what it reads changes nothing'
        lines.append(f'{relay.name:{width}}  {relay.over:6} {own:8.1e}        {cells}')
    return '\n'.join(lines)


def draw(path: AnyPath, relays: Sequence[Relay], influences: Mapping[str, np.ndarray], title: str) -> None:
    """The memory of all these relays as curves, and I[t, s] of the first and last that hear anything as matrices."""
    hearing = [relay for relay in relays if influences[relay.name].any()] or relays[:1]
    shown = hearing if len(hearing) <= MOST_DRAWN else [*hearing[: MOST_DRAWN // 2], *hearing[-MOST_DRAWN // 2 :]]
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure = figures.figure(5.4 + 2.1 * columns, max(4.2, 2.3 * rows + 0.6))
    left, right = figure.subfigures(1, 2, width_ratios=[4.4, 2.1 * columns + 1])
    hop = 'layer' if relays[0].over == LAYERS else 'frame group'
    axis = left.subplots()
    for number, relay in enumerate(relays):
        curve = memory(influences[relay.name])
        curve = np.where(curve > 0, curve, np.nan)  # zero has no place on a logarithmic axis
        name = named(relay, influences[relay.name])
        axis.plot(range(len(curve)), curve, label=name, **figures.style(number, len(relays)))
    axis.set(xlabel=f'hops back d ({hop}s)', ylabel='memory: influence relative to d = 0', yscale='log')
    axis.set_xticks(range(max(len(influences[relay.name]) for relay in relays)))
    figures.grid(axis)
    left.legend(*axis.get_legend_handles_labels(), loc='outside lower center', ncols=2, fontsize='x-small')
    grid = right.subplots(rows, columns, squeeze=False)
    for axis in grid.flat[len(shown) :]:
        axis.set_axis_off()
    for axis, relay in zip(grid.flat, shown, strict=False):
        values = influences[relay.name]
        hops, highest = len(values), values.max()
        lower = np.where(np.tri(hops, dtype=bool), values / (highest or 1), np.nan)
        image = axis.imshow(lower, cmap='viridis', vmin=0, vmax=1, extent=(0.5, hops + 0.5, hops + 0.5, 0.5))
        axis.set_title(f'{named(relay, values)}\nhighest {highest:.2g}', fontsize='small')
        axis.set(xticks=figures.ticks(hops), yticks=figures.ticks(hops))
    right.colorbar(image, ax=grid, label='I[t, s], share of the highest', shrink=min(1, 0.5 * rows))
    for axis in grid[-1]:
        axis.set_xlabel(f'p read at {hop} s', fontsize='small')
    for axis in grid[:, 0]:
        axis.set_ylabel(f'scale h of {hop} t', fontsize='small')
    figures.title(figure, title)
    figures.save(figure, path)


def named(relay: Relay, of: np.ndarray) -> str:
    """Its name, and whether it is deaf."""
    return relay.name if of.any() else f'{relay.name} (deaf)'
