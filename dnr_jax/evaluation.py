"""The one way a score is taken, by train.py while it trains and by eval.py afterwards.

Every video is read exactly once, and scored or listed as damaged; every view is kept, and the views of a video are
averaged. A score is nothing without its protocol, so both are written together: see `predictions` and `scores` for
the files.

Axes: N videos, B videos of a batch, V views, K classes.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from ml_collections import ConfigDict

from dnr_jax import parallel, scores, steps, trained, views
from dnr_jax.bars import bar
from dnr_jax.data import pipeline
from dnr_jax.data.decoding import Reason
from dnr_jax.data.source import VideoSource, open_split
from dnr_jax.precise import precise_statistics
from dnr_jax.predictions import Missing, Predictions, save
from dnr_jax.setup import read


def evaluate_checkpoint(
    workdir: str | Path, which: str, adapt: Callable[[ConfigDict], ConfigDict], out: str | Path | None
) -> dict[str, Any]:
    """Scores a checkpoint of a work folder by its own test protocol; returns the results it has written.

    Args:
      which, adapt: see `trained.load`.
      out: folder to write to; None for `WORKDIR/test`.
    Raises ValueError if there is no such checkpoint, if the data has other classes than it was trained for, or if the
    test protocol is none.
    """
    mesh = parallel.make_mesh()
    found = trained.load(workdir, which, adapt, mesh)
    config = found.config
    views.expect(config.test, 'test')
    source = open_split(config.data.name, config.data.dir, config.test.split)
    expect_classes(source, found.label_names, config)
    found = as_scored(found, mesh)
    predict = steps.make_predict(config, found.model, mesh, config.test.views_at_once)
    predictions = evaluate(predict, found.variables, source, config, 'test', mesh, before_batch=lambda: None)
    folder = Path(out) if out else Path(workdir) / 'test'
    return write(folder, predictions, source, config, found.step, found.fingerprints)


def expect_classes(source: VideoSource, label_names: Sequence[str], config: ConfigDict) -> None:
    """Raises ValueError unless the data has these classes in this order."""
    if source.label_names != label_names:
        raise ValueError(
            f'The checkpoint tells apart {len(label_names)} classes ({", ".join(label_names[:3])}, ...), the data in '
            f'{config.data.dir} has {len(source.label_names)} ({", ".join(source.label_names[:3])}, ...); '
            'give the data set it was trained on with --config.data.dir.'
        )


def as_scored(found: trained.Trained, mesh: parallel.Mesh) -> trained.Trained:
    """With the statistics that scores are taken with: precise ones, where the config asks for them."""
    config = found.config
    if not config.run.precise_batches:
        return found
    train = open_split(config.data.name, config.data.dir, config.data.train_split)
    return found._replace(variables=with_precise_statistics(found.model, found.variables, train, config, mesh))


def with_precise_statistics(
    model: nn.Module, variables: Mapping[str, Any], train: VideoSource, config: ConfigDict, mesh: parallel.Mesh
) -> Mapping[str, Any]:
    """The variables with statistics of the first `config.run.precise_batches` batches of training; 0 leaves them."""
    if not config.run.precise_batches:
        return variables
    with closing(read(config, train, mesh, start_step=0)) as batches:
        first = islice(batches, config.run.precise_batches)
        statistics = precise_statistics(model, variables, first, pixels=config.pixels.to_dict(), mesh=mesh)
    return {**variables, 'batch_stats': statistics}


def evaluate(
    predict: Callable,
    variables: Mapping[str, Any],
    source: VideoSource,
    config: ConfigDict,
    section: str,
    mesh: parallel.Mesh,
    before_batch: Callable[[], None],
) -> Predictions:
    """Scores every video of `source` once, by the protocol of that section of the config.

    All processes get all scores; only the leader keeps those of every view, in one array that is filled batch by batch.

    Args:
      predict: the compiled `steps.eval_step`, (variables, batch) -> logits [B V K].
      section: 'validation' or 'test'.
      before_batch: called before each batch, by all processes alike.
    """
    taken, rest = protocol(config, section)
    batches = pipeline.eval_batches(
        source,
        **config.clip,
        **taken,
        damaged=config.data.damaged,
        batch_size=parallel.per_process(rest['batch_size'], mesh, f'{section}.batch_size'),
        workers=config.run.workers,
        shard_index=jax.process_index(),
        shard_count=jax.process_count(),
    )
    placed = parallel.place_ahead(called_before(before_batch, batches), mesh, config.run.prefetch)
    shape = len(source), taken['clips'] * taken['crops'], len(source.label_names)
    every_view = np.empty(shape, np.float32) if parallel.is_leader() else None
    scored, rows = 0, []
    missing = [Missing(failure.id, failure.reason) for failure in source.failures]
    with closing(batches), bar(len(source), rest['split'], ' videos', leave=False, shown=parallel.is_leader()) as shown:
        for ids, labels, logits, damaged in by_all_processes(predict, variables, placed):
            if config.augment.flip_labels:
                logits = views.unmirrored(logits, source.label_names, crops=taken['crops'])
            if every_view is not None:
                every_view[scored : scored + len(logits)] = logits
            scored += len(ids)
            rows.append((ids, labels, views.average(logits, rest['average'])))
            missing += [Missing(str(id), Reason.DAMAGED.value) for id in damaged]
            shown.update(len(ids) + len(damaged))
    asked = len(source) + len(source.failures)
    assert scored + len(missing) == asked, 'every video is scored exactly once or listed as damaged'
    every_view = None if every_view is None else every_view[:scored]
    return Predictions(*map(np.concatenate, zip(*rows, strict=True)), every_view, tuple(missing), source.expected)


def called_before(call: Callable[[], None], batches: Iterable) -> Iterator:
    """The batches, with the call before each of them."""
    batches = iter(batches)
    while True:
        call()
        try:
            yield next(batches)
        except StopIteration:
            return


def by_all_processes(
    predict: Callable, variables: Mapping[str, Any], placed: Iterable[tuple[Mapping[str, jax.Array], np.ndarray]]
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yields ids, labels, logits [.. V K] of the videos that are scored and ids of those that are damaged, in order."""
    for batch, ids in placed:
        rows = *(batch[name] for name in ('mask', 'damaged', 'label')), predict(variables, batch)
        # Batch s of process p comes before batch s of process p + 1, and after all batches s - 1.
        ids, mask, damaged, labels, logits = (parallel.gather(of) for of in (ids, *map(parallel.to_host, rows)))
        yield ids[mask], labels[mask], logits[mask], ids[damaged > 0]


def protocol(config: ConfigDict, section: str) -> tuple[dict[str, int], dict[str, Any]]:
    """What the pipeline takes of a section of the config, and the rest of it."""
    taken = dict(config[section])
    return taken, {key: taken.pop(key) for key in ('split', 'batch_size', 'average', 'views_at_once')}


def describe(config: ConfigDict, section: str, videos: int) -> str:
    """The protocol in the field's shorthand."""
    clip, views = config.clip, config[section]
    return (
        f'{clip.frames}x{clip.stride} frames, {views.clips}x{views.crops} views of {views.size}x{views.size}, '
        f'{clip.sampling} sampling, {views.average} averaged ({videos:,} videos)'
    )


def account(predictions: Predictions, config: ConfigDict, section: str) -> dict[str, Any]:
    """Scores, coverage and protocol, for `scores.to_text`; None for a loss that is not finite."""
    summary = scores.summarize(predictions)
    if not math.isfinite(summary.get('loss', 0)):
        summary['loss'] = None  # which JSON can hold
    return summary | {
        'protocol': describe(config, section, len(predictions.ids)),
        'coverage': scores.cover(predictions),
    }


def write(
    folder: Path,
    predictions: Predictions,
    source: VideoSource,
    config: ConfigDict,
    step: int,
    fingerprints: Mapping[str, str],
) -> dict[str, Any]:
    """Writes all files of the test protocol to `folder`; returns the results, with fewer views' scores for the leader.

    `fingerprints` are of the splits that the training read: where it read this one, the results say whether it holds
    the same videos now.
    """
    taken, rest = protocol(config, 'test')
    results = account(predictions, config, 'test') | {
        'data': config.data.name,
        'split': rest['split'],
        'fingerprint': source.fingerprint,
        'same_videos': fingerprints[source.split] == source.fingerprint if source.split in fingerprints else None,
        'views': {**config.clip, **taken, 'average': rest['average']},
        'views_curve': scores.curve(predictions, clips=taken['clips'], crops=taken['crops']),
        'backbone': config.model.backbone,
        'norms': config.model.norms,
        'step': step,
    }
    if parallel.is_leader():
        folder.mkdir(parents=True, exist_ok=True)
        save(folder, predictions, source.label_names, results['protocol'])
        scores.write(folder, predictions, results, source.label_names)
    return results
