"""What a network makes of whole videos before its head, read by the test protocol: features to compare or to sort by.

    FILE.npz    videos [N] of str, features [N C]
    FILE.csv    a header video,0,1,...; a line for each video

Axes: N videos, B videos of a batch, V views, T frames, H W space, C channels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import numpy as np
from jax import Array
from jaxtyping import Float

from dnr_jax import parallel
from dnr_jax.data.video.errors import VideoError
from dnr_jax.evaluation.eval_step import make_predict
from dnr_jax.files import AnyPath, write_rows, written_whole
from dnr_jax.models.layers import pooled
from dnr_jax.operations import Video
from dnr_jax.predict.whole import Files, batches_of
from dnr_jax.runs.trained_model import Trained


class Extracted(NamedTuple):
    """Of one video, or why there are none."""

    path: AnyPath
    features: Float[np.ndarray, 'C'] | None  # averaged over views
    failure: VideoError | None


class Headless(nn.Module):
    """What the head of a network would read, [B T H W 3] to [B features], by the variables of that network."""

    network: nn.Module  # with `classes=None`

    def setup(self) -> None:
        nn.share_scope(self, self.network)

    def __call__(self, clip: Video, train: bool) -> Float[Array, 'B features']:
        return pooled(self.network(clip, train))


def extractor(found: Trained, mesh: parallel.Mesh) -> Callable[[Sequence[AnyPath]], Iterator[Extracted]]:
    """What takes the features of videos, in their order; compiled at the first one.

    One that cannot be read has a `failure` and does not keep the others from having features.
    """
    headless = Headless(found.model.clone(classes=None))
    compute = make_predict(found.config, headless, mesh, found.config.test.views_at_once)
    return partial(_extract, found, compute, mesh)


def _extract(found: Trained, compute: Callable, mesh: parallel.Mesh, paths: Sequence[AnyPath]) -> Iterator[Extracted]:
    source = Files(paths)
    with closing(batches_of(found, source, mesh)) as batches:
        for batch, ids in parallel.place_ahead(batches, mesh, found.config.run.prefetch):
            views = parallel.to_host(compute(found.variables, batch))  # [B V C]
            mask, damaged = (parallel.to_host(batch[name]) for name in ('mask', 'damaged'))
            of_video = dict(zip(map(int, ids[mask]), views[mask].mean(axis=1), strict=True))
            for position in sorted([*of_video, *map(int, ids[damaged > 0])]):
                yield Extracted(paths[position], of_video.get(position), source.errors.get(position))


def write(file: AnyPath, features: Mapping[str, Float[np.ndarray, 'C']]) -> None:
    """Writes the features of videos, by their names, to FILE.csv or else as arrays, whole or not at all."""
    with written_whole(file) as unfinished:
        if file.suffix == '.csv':
            header = ['video', *range(len(next(iter(features.values()), ())))]
            write_rows(unfinished, [header, *([video, *map(str, of)] for video, of in features.items())])
        else:
            with unfinished.open('wb') as arrays:
                np.savez(arrays, videos=np.array([*features]), features=np.array([*features.values()]))
