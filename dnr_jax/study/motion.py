"""How scale and shift move along the hops of a relay: of one clip and its reverse, or of the mean clip of each class.

Curves are compared row by row, a row being one of two clips or one of K classes: shown is the relay whose shift they
differ in most, and of it the channels where they do, by the standard deviation over the rows.

    mean[k] = mean over the clips of class k     std[k], their standard deviation     low[k], high[k], their quartiles

Axes: B N clips, R rows, J hops of a relay (frame groups, or layers of a stage), C channels, K classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from dnr_jax import figures
from dnr_jax.files import AnyPath
from dnr_jax.study.tracing import LAYERS, Relay, observe

CHANNELS, CLASSES = 4, len(figures.COLOURS)  # that are drawn
BESIDE = 0.5  # of the way from one hop to the next, over which curves with quartiles are spread


class Motion(NamedTuple):
    """What one relay hands out, hop by hop."""

    scale: Float[Array | np.ndarray, 'B J C']
    shift: Float[Array | np.ndarray, 'B J C']


def relayed(
    model: nn.Module, variables: Mapping[str, Any], clip: Float[Array, 'B T H W 3']
) -> tuple[Float[Array, 'B K'], dict[str, Motion]]:
    """Logits, and scale and shift along every relay of the network, by its name; pure, in evaluation mode."""
    logits, layers, relays = observe(model, variables, clip)
    scale, shift = ({name: getattr(of, which) for name, of in layers.items()} for which in ('h', 'c'))
    return logits, {relay.name: Motion(relay.along(scale), relay.along(shift)) for relay in relays}


class ByClass(NamedTuple):
    """Motion averaged over the clips of each class; of classes without clips, NaN."""

    clips: np.ndarray  # [K]
    mean: Motion  # of [K J C]
    std: Motion
    low: Motion  # quartiles: half of the clips lie between them
    high: Motion


def by_class(motion: Motion, labels: Int[np.ndarray, 'N'], classes: int) -> ByClass:
    """Mean, standard deviation and quartiles over the clips of each class, from those of N clips."""
    members = [labels == k for k in range(classes)]

    def over_clips(reduce):
        return Motion(*(
            np.stack([reduce(of[mine]) if mine.any() else np.full(of.shape[1:], np.nan) for mine in members])
            for of in motion
        ))  # fmt: skip

    return ByClass(
        np.bincount(labels, minlength=classes),
        over_clips(lambda of: of.mean(axis=0)),
        over_clips(lambda of: of.std(axis=0)),
        over_clips(lambda of: np.quantile(of, 0.25, axis=0)),
        over_clips(lambda of: np.quantile(of, 0.75, axis=0)),
    )


def spread(rows: Motion) -> Float[np.ndarray, 'J C']:
    """How far the shifts of the rows lie apart, as a standard deviation."""
    return np.nanstd(rows.shift, axis=0)


def steps(motion: Motion) -> Motion:
    """How far scale and shift move from each hop to the next, [J - 1]: root mean squares over rows and channels."""
    return Motion(*(np.sqrt(np.nanmean(np.square(np.diff(of, axis=1)), axis=(0, 2))) for of in motion))


def to_text(relays: Sequence[Relay], moved: Mapping[str, Motion]) -> str:
    """A line for each relay: its `steps`, from hop to hop."""
    width = max(len(relay.name) for relay in relays)
    lines = ['how far scale and shift move from each hop to the next (root mean square over clips and channels)']
    for which in Motion._fields:
        lines.append(f'{which:{width}}')
        for relay in relays:
            cells = ''.join(f'{step:8.3f}' for step in getattr(moved[relay.name], which))
            lines.append(f'{relay.name:{width}}  {relay.over:6}{cells}')
    return '\n'.join(lines)


def most_different(relays: Sequence[Relay], rows: Mapping[str, Motion]) -> Relay:
    """The relay whose shift differs most from row to row."""
    return max(relays, key=lambda relay: spread(rows[relay.name]).max())


def most_different_channels(rows: Motion, wanted: int) -> np.ndarray:
    """Numbers of the channels whose shift differs most from row to row."""
    return np.argsort(-spread(rows).max(axis=0), kind='stable')[:wanted]


def most_different_classes(of: ByClass, wanted: int) -> list[int]:
    """Numbers of the classes whose mean shift is furthest from that of all; of few clips, it must be further."""
    from_mean = np.abs(of.mean.shift - np.nanmean(of.mean.shift, axis=0)).max(axis=(1, 2))
    order = np.argsort(-from_mean * np.sqrt(of.clips), kind='stable')
    return sorted([int(k) for k in order if of.clips[k]][:wanted])


def draw_clip(
    path: AnyPath, relay: Relay, rows: Motion, clips: np.ndarray, predicted: Sequence[str], title: str
) -> None:
    """A clip and its reverse: `clips` are uint8 [2 T H W C], as what they are `predicted`."""
    strips = [
        (f"{name}: predicted '{label}'", clip)
        for name, label, clip in zip(('a clip', 'the same clip, reversed'), predicted, clips, strict=True)
    ]
    draw(path, relay, rows, None, ('clip', 'reversed'), strips, '', title)


def draw_classes(path: AnyPath, relay: Relay, of: ByClass, label_names: Sequence[str], title: str) -> None:
    """The classes that differ most from the mean of all, with the quartiles of their clips."""
    shown, occurring = most_different_classes(of, CLASSES), np.count_nonzero(of.clips)
    mean, low, high = (Motion(*(values[shown] for values in motion)) for motion in (of.mean, of.low, of.high))
    names = [f'{label_names[k]} ({of.clips[k]})' for k in shown]
    legend = 'class (clips)' if len(shown) == occurring else f'{len(shown)} of {occurring} classes (clips)'
    draw(path, relay, mean, (low, high), names, [], legend, title)


def draw(
    path: AnyPath,
    relay: Relay,
    rows: Motion,
    ends: tuple[Motion, Motion] | None,
    names: Sequence[str],
    strips: Sequence[tuple[str, np.ndarray]],
    legend: str,
    title: str,
) -> None:
    """A column for each of the channels that differ most, with a curve for each row; above them frames, if any.

    Args:
      ends: of a line through every point, low and high. names: of the rows.
      strips: names and frames, uint8 [T H W C], of one or two clips.
      legend: what the rows are.
    """
    channels = most_different_channels(rows, CHANNELS)
    figure = figures.figure(3 * len(channels) + 1.6, 5.2 + 0.9 * bool(strips))
    parts = figure.subfigures(2, 1, height_ratios=[0.9, 5.2]) if strips else [None, figure]
    for axis, (name, clip) in zip(parts[0].subplots(1, len(strips)) if strips else [], strips, strict=True):
        figures.show_frames(axis, clip)
        axis.set_title(name, fontsize='medium')
    axes = parts[1].subplots(2, len(channels), squeeze=False)
    for column, channel in enumerate(channels):
        axes[0, column].set_title(f'channel {channel}', fontsize='medium')
        for which, axis in zip(Motion._fields, axes[:, column], strict=True):
            values, *of_ends = (getattr(of, which)[:, :, channel] for of in (rows, *(ends or ())))
            draw_curves(axis, values, of_ends, names)
            mark_hops(axis, relay)
        label_hops(axes[1, column], relay)
    axes[0, 0].set_ylabel('scale h')
    axes[1, 0].set_ylabel('shift c')
    handles, labels = axes[0, 0].get_legend_handles_labels()
    parts[1].legend(handles, labels, loc='outside right center', title=legend, fontsize='small')
    figures.title(figure, title)
    figures.save(figure, path)


def draw_curves(axis, values: np.ndarray, ends: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """Values [R J], hop by hop; with low and high `ends` [R J], side by side at each hop, a line between these."""
    for number, (name, curve) in enumerate(zip(names, values, strict=True)):
        style = figures.style(number, len(names))
        places = np.arange(1, len(curve) + 1) + figures.apart(number, len(names), BESIDE if len(ends) else 0.0)
        axis.plot(places, curve, label=name, linewidth=1.2, markersize=5, **style)
        if len(ends):
            low, high = ends
            axis.vlines(places, low[number], high[number], color=style['color'], alpha=0.5, linewidth=2)


def mark_hops(axis, relay: Relay) -> None:
    """A grid; at layers, their names without that of the stage."""
    if relay.over == LAYERS:
        names = [layer.removeprefix(f'{relay.name}/').replace('/', '\n') for layer in relay.layers]
        every = -(-len(names) // 8)
        axis.set_xticks(range(1, len(names) + 1, every), names[::every], fontsize='small')
    else:
        axis.xaxis.get_major_locator().set_params(integer=True)
    figures.grid(axis)


def label_hops(axis, relay: Relay) -> None:
    axis.set_xlabel(f'hop: layer of {relay.name}' if relay.over == LAYERS else 'hop: group of frames')
