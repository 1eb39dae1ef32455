"""The network a study asks, the clips it looks at, and functions of clips applied to all of them.

Clips are of the test split in one centre view. They are held in memory, for some questions pass them many times.

Axes: B N clips, T frames, H W space, C channels.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.command.bars import bar
from dnr_jax.data.source import VideoSource, split_of
from dnr_jax.data.videos import Part, Videos
from dnr_jax.evaluation.batches import centre_views
from dnr_jax.evaluation.checkpoint_score import of_classes
from dnr_jax.files import AnyPath
from dnr_jax.models.pixels import normalize_pixels
from dnr_jax.registry import choose
from dnr_jax.runs import trained_model
from dnr_jax.runs.trained_model import Trained


class Clips(NamedTuple):
    """Clips with their labels."""

    clip: np.ndarray  # uint8 [N T H W C]
    label: np.ndarray  # int [N]
    id: np.ndarray  # str [N]


def load(
    workdir: str | AnyPath, which: str, adapt: Callable[[ConfigDict], ConfigDict], mesh: parallel.Mesh
) -> tuple[Trained, VideoSource]:
    """The network as its checkpoint has it, see `as_scored`, and the test split.

    Args:
      which, adapt: see `trained_model.load`.
    Raises ValueError if there is no such checkpoint, or if the data has none of its classes.
    """
    found = trained_model.load(workdir, which, adapt, mesh)
    config = found.config
    source = of_classes(split_of(config.data, config.test.split), found.label_names)
    return found, source


def draw(source: VideoSource, config: ConfigDict, most: int) -> Clips:
    """Labelled clips drawn from the split, at most so many, the same ones each time; ValueError if there is none."""
    if most < 1:
        raise ValueError(f'A study looks at --clips of at least 1, got {most}.')
    numbers = np.random.default_rng(0).permutation(len(source))[:most]
    return read(Part(source, sorted(numbers.tolist())), config)


def choose_clip(source: VideoSource, config: ConfigDict, label: str | None, id: str | None) -> Clips:
    """The first clip of that class, or the one of that id, or else just the first; ValueError if there is none."""
    wanted = {}
    if label is not None:
        wanted['label'] = choose({name: number for number, name in enumerate(source.label_names)}, label, 'class')
    if id is not None:
        wanted['id'] = id
    with bar(len(source), 'looking for the clip', ' videos', leave=False) as progress:
        for number in range(len(source)):
            record = source[number]
            if all(record[key] == value for key, value in wanted.items()):
                break
            progress.update()
        else:
            asked_for = ' and '.join(
                f"{key} '{of}'" for key, of in {'label': label, 'id': id}.items() if of is not None
            )
            raise ValueError(f'No clip of {source.name} has the {asked_for}.')
    return read(Part(source, [number]), config)


def read(source: Videos, config: ConfigDict) -> Clips:
    """All labelled clips of the source, in its order; ValueError if there is none."""
    with bar(len(source), 'reading', ' clips', leave=False) as progress:
        rows = []
        for row in labelled(source, config):
            rows.append(row)
            progress.update()
    if not rows:
        raise ValueError(
            f'A study looks at clips with labels: expected at least one, got none among {len(source):,} videos of '
            f'{source.name}; give another --config.test.split.'
        )
    return Clips(*map(np.stack, zip(*rows, strict=True)))


def labelled(source: Videos, config: ConfigDict) -> Iterator[tuple[np.ndarray, int, str]]:
    """Clip, label and id of every video that can be read and has a label."""
    one_batch = len(source) <= config.test.batch_size
    reading = {
        'batch_size': min(config.test.batch_size, len(source)),
        'workers': 0 if one_batch else config.run.workers,
    }
    with closing(centre_views(source, config, 'test', **reading)) as batches:
        for batch in batches:
            for n in np.flatnonzero(batch['mask'] & (batch['label'] >= 0)):
                yield batch['clip'][n, 0], batch['label'][n], batch['id'][n]


def over_clips(
    function: Callable[[Any, Array, Array], Any], config: ConfigDict, mesh: parallel.Mesh
) -> Callable[[Any, np.ndarray, str], Any]:
    """Compiles `function(inputs, clip, number) -> values [B ...]`, to be called as `(inputs, clips, what)`.

    The function is given clips as the network reads them, float32 [B T H W C], and their numbers from 0, [B]. The
    compiled one takes all clips, uint8 [N T H W C], in batches, and returns NumPy arrays [N ...]; `what` it does is
    told beside its progress.
    """

    def step(inputs, batch):
        return function(inputs, normalize_pixels(batch['clip'], **config.pixels), batch['number'])

    compiled = parallel.compile_eval_step(step, mesh)
    most_at_once = parallel.filled(config.test.batch_size, mesh)

    def apply(inputs: Any, clips: np.ndarray, what: str) -> Any:
        at_once = min(most_at_once, -(-len(clips) // mesh.size) * mesh.size)
        parts = []
        with bar(len(clips), what, ' clips', leave=False) as progress:
            for start in range(0, len(clips), at_once):
                number = np.minimum(np.arange(start, start + at_once), len(clips) - 1)  # the last batch is filled up
                batch = {'clip': clips[number], 'number': number.astype(np.uint32)}
                parts.append(jax.device_get(compiled(inputs, parallel.place(batch, mesh))))
                progress.update(min(at_once, len(clips) - start))
        return jax.tree.map(lambda *of: np.concatenate(of)[: len(clips)], *parts)

    return apply
