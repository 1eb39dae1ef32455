"""Draws docs/relay.png: the scale and shift that a relay hands from frame to frame, for one clip and its reverse.

python -m docs.draw_relay --workdir=runs/demo_dnr
"""

import jax
import matplotlib
import numpy as np
from absl import flags

from dnr_jax import command, parallel, steps, trained
from dnr_jax.data import pipeline
from dnr_jax.data.source import open_split
from dnr_jax.normalization import CrossTemporalTransform

WORKDIR = flags.DEFINE_string('workdir', 'runs/demo_dnr', 'Folder of a training with a cross-temporal norm.')
LABEL = flags.DEFINE_string('label', 'grow', 'Class of the clip.')
OUT = flags.DEFINE_string('out', 'docs/relay.png', 'Picture to write.')
CHANNELS = 5


def main(arguments: list[str]) -> None:
    command.expect_no_more(arguments)
    found = trained.load(WORKDIR.value, 'last', lambda config: config, parallel.make_mesh())
    clip = first_clip(found, found.label_names.index(LABEL.value))
    both = np.stack([clip, clip[::-1]])  # [2 T H W C]
    (layer, scale, shift), predicted = relayed(found, both)
    draw(both, layer, scale, shift, [found.label_names[label] for label in predicted])


def first_clip(found: trained.Trained, label: int) -> np.ndarray:
    """The first test clip of a class, uint8 [T H W C]."""
    source = open_split(found.config.data.name, found.config.data.dir, found.config.test.split)
    views = {key: found.config.test[key] for key in ('clips', 'crops', 'short_side', 'size')}
    for batch in pipeline.eval_batches(
        source, **found.config.clip, **views, batch_size=1, workers=0, shard_index=0, shard_count=1
    ):
        if batch['label'][0] == label:
            return batch['clip'][0, 0]
    raise ValueError(f'No test clip of that class: {found.label_names[label]}')


def relayed(found: trained.Trained, clips: np.ndarray):
    """The cross-temporal layer that tells the clips apart most: (name, scale [2 G C], shift), and the labels."""
    logits, captured = found.model.apply(
        found.variables,
        steps.normalize_pixels(clips, **found.config.pixels),
        train=False,
        capture_intermediates=lambda module, _: isinstance(module, CrossTemporalTransform),
        mutable=['intermediates'],
    )
    leaves = jax.tree_util.tree_leaves_with_path(
        captured['intermediates'], is_leaf=lambda node: isinstance(node, tuple) and len(node) == 1
    )
    path, ((_, (scale, shift)),) = max(leaves, key=lambda leaf: difference(np.asarray(leaf[1][0][1][1])).max())
    names = [str(key.key) for key in path if key.key not in ('transform', '__call__')]
    return (' '.join(names), np.asarray(scale), np.asarray(shift)), np.asarray(logits.argmax(axis=1))


def difference(shift: np.ndarray) -> np.ndarray:
    """How far the shifts of the two clips lie apart: [2 G C] -> [G C]."""
    return np.abs(shift[0] - shift[1])


def draw(clips, layer, scale, shift, predicted) -> None:
    """One column a clip: its frames, and below them scale and shift over the hops for the channels that differ most."""
    matplotlib.use('Agg')
    from matplotlib import pyplot

    channels = np.argsort(-difference(shift).max(axis=0))[:CHANNELS]
    hops = np.arange(1, scale.shape[1] + 1)
    figure, axes = pyplot.subplots(
        3, 2, figsize=(10, 5.2), layout='constrained', sharey='row', height_ratios=[0.8, 2, 2]
    )
    for column, (clip, name) in enumerate(zip(clips, ('a clip', 'the same clip, reversed'), strict=True)):
        axes[0, column].imshow(np.concatenate(clip, axis=1))
        axes[0, column].set_axis_off()
        axes[0, column].set_title(f'{name}: predicted "{predicted[column]}"')
        for row, values in ((1, scale), (2, shift)):
            for rank, channel in enumerate(channels):
                axes[row, column].plot(
                    hops, values[column, :, channel], marker='osDv^'[rank], label=f'channel {channel}'
                )
            axes[row, column].set_xticks(hops)
            axes[row, column].grid(alpha=0.3)
        axes[2, column].set_xlabel('hop of the relay (two frames each)')
    axes[1, 0].set_ylabel('scale h')
    axes[2, 0].set_ylabel('shift c')
    axes[1, 1].legend(fontsize='small', ncols=2)
    figure.suptitle(f'What the cross-temporal relay hands on, {layer}', fontsize='medium')
    figure.savefig(OUT.value, dpi=130)


if __name__ == '__main__':
    command.run(main)
