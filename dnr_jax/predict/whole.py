"""Predictions of whole videos by the test protocol of a checkpoint, through the pipeline that evaluation reads by.

    found = load(workdir, 'last', adapt, mesh)
    for prediction in predictor(found, mesh)(find(['clips/'])):
        print(prediction.path, prediction.failure or prediction.probabilities)

Axes: K classes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict
from scipy.special import softmax

from dnr_jax import parallel
from dnr_jax.data import pipeline, storage
from dnr_jax.data.annotations.clips import KINDS, clips
from dnr_jax.data.far import fetched, found_in
from dnr_jax.data.storage import Storage
from dnr_jax.data.video.errors import FILMED, Reason, VideoError
from dnr_jax.data.videos import DamagedRecord, Videos
from dnr_jax.evaluation import multi_view, scoring
from dnr_jax.evaluation.batches import protocol
from dnr_jax.evaluation.checkpoint_score import as_scored
from dnr_jax.evaluation.eval_step import make_predict
from dnr_jax.files import AnyPath, as_path
from dnr_jax.runs import trained_model
from dnr_jax.runs.trained_model import Trained

AS_IT_IS = Storage('original', short_side=0, keyframe_interval=1, quality=95, frame_step=1)


class Prediction(NamedTuple):
    """What is said of one video, or why nothing is."""

    path: AnyPath
    logits: Float[np.ndarray, 'K'] | None  # averaged over views, as in `predictions`
    failure: VideoError | None

    @property
    def probabilities(self) -> Float[np.ndarray, 'K']:
        """Of the classes; they add up to 1."""
        return softmax(self.logits)


class Files(Videos):
    """Videos as they lie on a disk, in place of the records of a split; their labels are not known.

    Attributes:
      errors: by their positions, why videos cannot be read; filled while they are.
    """

    name, label_names, frame_step = 'files', (), 1

    def __init__(self, paths: Sequence[AnyPath]):
        self.paths, self.errors = paths, {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        try:
            return read(self.paths[index]) | {'id': str(index), 'label': -1}
        except VideoError as error:
            raise self.damaged(index, error, id=str(index)) from error

    def damaged(self, index: int, what: object, id: str = '') -> DamagedRecord:
        error = DamagedRecord(str(what), what.reason if isinstance(what, VideoError) else Reason.DAMAGED)
        error.id, self.errors[index] = id, error
        return error


def read(path: AnyPath) -> dict[str, Any]:
    """The record of a file or a folder of frames, see `storage`; VideoError, with its reason, if it cannot be read."""
    try:
        with fetched(path) as file:
            return storage.store(file, AS_IT_IS, FILMED)
    except FileNotFoundError as error:  # of a bucket
        raise VideoError(f"there is no '{path}'.", Reason.MISSING) from error


def find(paths: Sequence[str | AnyPath]) -> list[AnyPath]:
    """The videos at these paths, each a file, a folder of frames, or a folder of any of these; once, in this order.

    What is in folders comes by name. Raises ValueError for no path, and for a folder without videos. A file that is not
    there fails when it is read.
    """
    if not paths:
        raise ValueError('Expected videos to predict, files or folders, got none.')
    found = {}
    for path in map(as_path, paths):
        inside = found_in(path, clips) if path.is_dir() else [path]
        if not inside:
            raise ValueError(f"Expected videos in the folder '{path}', got none. They are {KINDS}.")
        found |= dict.fromkeys(inside)
    return list(found)


def load(workdir: str | AnyPath, which: str, adapt: Callable[[ConfigDict], ConfigDict], mesh: parallel.Mesh) -> Trained:
    """`trained_model.load`, with the statistics that an evaluation would take."""
    return as_scored(trained_model.load(workdir, which, adapt, mesh), mesh)


def predictor(found: Trained, mesh: parallel.Mesh) -> Callable[[Sequence[AnyPath]], Iterator[Prediction]]:
    """What predicts videos by `found.config.test`, in their order; compiled at the first one.

    One that cannot be read has a `failure` and does not keep the others from being predicted. Raises ValueError for a
    protocol that cannot be, such as a crop larger than frames.
    """
    multi_view.expect(found.config.test, 'test')
    predict = make_predict(found.config, found.model, mesh, found.config.test.views_at_once)
    return partial(_predict, found, predict, mesh)


def _predict(found: Trained, predict: Callable, mesh: parallel.Mesh, paths: Sequence[AnyPath]) -> Iterator[Prediction]:
    source = Files(paths)
    with closing(batches_of(found, source, mesh)) as batches:
        for scored in scoring.score_each(
            predict, found.variables, batches, found.label_names, found.config, 'test', mesh
        ):
            logits = dict(zip(map(int, scored.ids), scored.logits, strict=True))
            for position in sorted([*logits, *map(int, scored.damaged)]):
                yield Prediction(paths[position], logits.get(position), source.errors.get(position))


def batches_of(found: Trained, source: Files, mesh: parallel.Mesh) -> pipeline.EvalBatches:
    """All videos in all views of `found.config.test`, [B V T H W C], up to `test.batch_size` of them at a time."""
    taken, rest = protocol(found.config, 'test')
    return pipeline.eval_batches(
        source,
        **found.config.clip,
        **taken,
        damaged='skip',
        batch_size=mesh.size * max(1, min(rest['batch_size'], len(source)) // mesh.size),
        workers=0,  # threads, which are there at once, and share `errors`
        shard_index=0,
        shard_count=1,
    )
