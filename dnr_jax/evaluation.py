"""The one way a score is taken, by train.py while it trains and by eval.py afterwards.

Every video is read exactly once, and scored or listed as damaged; every view is kept, and the views of a video are
averaged. A score is nothing without its protocol, so both are written together, a folder for each: see `predictions`
and `scores` for the files.

Axes: N videos, B videos of a batch, V views, K classes.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from dnr_jax import parallel, scores, steps, trained, views
from dnr_jax.agreement import expect_alike
from dnr_jax.bars import bar
from dnr_jax.data import pipeline
from dnr_jax.data.decoding import Reason
from dnr_jax.data.sampling import as_taken
from dnr_jax.data.source import VideoSource, open_split
from dnr_jax.files import folder_written_whole
from dnr_jax.ownership import as_json, kept
from dnr_jax.precise import of_whole_batches, precise_statistics
from dnr_jax.predictions import FILES, Missing, Predictions, save
from dnr_jax.setup import read
from dnr_jax.terminal import tell

PROTOCOL = ('clip.', 'data.name', 'run.precise_batches', 'test.')  # keys of a config that make a score another one,
PACE = ('test.batch_size', 'test.views_at_once')  # all but these


def evaluate_checkpoint(
    workdir: str | Path, which: str, adapt: Callable[[ConfigDict], ConfigDict], out: str | Path | None
) -> dict[str, Any]:
    """Scores a checkpoint of a work folder by its own test protocol; returns the results it has written.

    Args:
      which, adapt: see `trained.load`.
      out: folder to write to, in place of all that is in it; None for `WORKDIR/test`, which is of the last checkpoint
        by the protocol of its config, and for others a folder beside it, see `folder_name`.
    Raises ValueError, before anything is scored, if there is no such checkpoint, if the data has other classes than it
    was trained for, if the test protocol is none, or if `out` holds other files, is in use or cannot be written to.
    """
    mesh = parallel.make_mesh()
    found = trained.load(workdir, which, adapt, mesh)
    config = found.config
    views.expect(config.test, 'test')
    source = open_split(config.data.name, config.data.dir, config.test.split)
    expect_classes(source, found.label_names, config)
    folder = (Path(out) if out else Path(workdir) / folder_name(which, found, source)).absolute()
    expect_alike({'config': as_json(config), 'step': found.step, 'out': str(folder), 'videos': source.fingerprint})
    expect_replaceable(folder)
    with kept_for_results(folder):
        if parallel.is_leader():
            tell(f'results go to {folder}')
        found = as_scored(found, mesh)
        predict = steps.make_predict(config, found.model, mesh, config.test.views_at_once)
        predictions = evaluate(predict, found.variables, source, config, 'test', mesh, before_batch=lambda: None)
        return write(folder, predictions, source, config, found.step, found.fingerprints)


def kept_for_results(folder: Path, patient: bool = False) -> AbstractContextManager[None]:
    """Keeps the folder of an evaluation, which is replaced as a whole, by a lock beside it; see `ownership.kept`."""
    return kept(folder.with_name(f'.lock-{folder.name}'), f'The folder {folder} for results', patient)


def folder_name(which: str, found: trained.Trained, source: VideoSource) -> str:
    """'test' for what ends a training; else with what is different: 'test-step=768-clips=10-crops=3'."""
    words = [f'step={found.step}'] if which != 'last' else []
    for key, value in found.changes.items():
        if key.startswith(PROTOCOL) and key not in PACE:
            words.append(f'{key.removeprefix("test.")}={value}'.replace('/', '_'))
    if found.fingerprints.get(source.split, source.fingerprint) != source.fingerprint:
        words.append(f'videos={source.fingerprint[:8]}')
    return '-'.join(['test', *words])


def expect_replaceable(folder: Path) -> None:
    """Raises ValueError if anything in the folder, which is to be replaced, is not of an earlier evaluation."""
    if folder.is_mount():
        raise ValueError(
            f'Expected a folder that can be replaced, but a disk is mounted at {folder}; give one within it.'
        )
    others = {path.name for path in folder.iterdir()} - {*FILES, *scores.FILES} if folder.is_dir() else ()
    if others:
        raise ValueError(
            f'An evaluation takes the place of all that is in its folder: expected {folder} to be new, or to hold an '
            f'earlier evaluation and nothing else, found {", ".join(sorted(others)[:3])}; give another --out.'
        )


def expect_classes(source: VideoSource, label_names: Sequence[str], config: ConfigDict) -> None:
    """Raises ValueError unless the data has these classes in this order."""
    if source.label_names == label_names:
        return
    remedy = 'give the data set it was trained on with --config.data.dir.'
    if len(source.label_names) == len(label_names):
        remedy = (
            'converted weights take the names of their classes from python -m dnr_jax.convert ... --data, or '
            f'--classes=FILE; of a training, {remedy}'
        )
    raise ValueError(
        f'The checkpoint tells apart {len(label_names)} classes ({", ".join(label_names[:3])}, ...), the data in '
        f'{config.data.dir} has {len(source.label_names)} ({", ".join(source.label_names[:3])}, ...); {remedy}'
    )


def as_scored(found: trained.Trained, mesh: parallel.Mesh) -> trained.Trained:
    """With the statistics that scores are taken with.

    Where the config asks for precise ones, these are of its first `run.precise_batches` batches of training: whole
    batches, whatever the scope in training, for those of the clips of a device would follow the number of devices.
    """
    config = found.config
    if not config.run.precise_batches:
        return found
    train = open_split(config.data.name, config.data.dir, config.data.train_split)
    with closing(read(config, train, mesh, start_step=0)) as batches:
        first, pixels = islice(batches, config.run.precise_batches), config.pixels.to_dict()
        precise = precise_statistics(of_whole_batches(found.model), found.variables, first, pixels=pixels, mesh=mesh)
    return found._replace(variables={**found.variables, 'batch_stats': precise})


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
    scoring = score_each(
        predict, variables, called_before(before_batch, batches), source.label_names, config, section, mesh
    )
    shape = len(source), taken['clips'] * taken['crops'], len(source.label_names)
    every_view = np.empty(shape, np.float32) if parallel.is_leader() else None
    done, rows = 0, []
    missing = [Missing(failure.id, failure.reason) for failure in source.failures]
    with closing(batches), bar(len(source), rest['split'], ' videos', leave=False, shown=parallel.is_leader()) as shown:
        for scored in scoring:
            if every_view is not None:
                every_view[done : done + len(scored.ids)] = scored.views
            done += len(scored.ids)
            rows.append((scored.ids, scored.labels, scored.logits))
            missing += [Missing(str(id), Reason.DAMAGED.value) for id in scored.damaged]
            shown.update(len(scored.ids) + len(scored.damaged))
    asked = len(source) + len(source.failures)
    assert done + len(missing) == asked, 'every video is scored exactly once or listed as damaged'
    every_view = None if every_view is None else every_view[:done]
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


class Scored(NamedTuple):
    """The videos of one batch."""

    ids: np.ndarray  # [N] of str
    labels: np.ndarray  # [N]
    views: np.ndarray  # [N V K], logits
    logits: np.ndarray  # [N K], averaged over views
    damaged: np.ndarray  # ids of those that could not be read


def score_each(
    predict: Callable,
    variables: Mapping[str, Any],
    batches: Iterable[pipeline.Batch],
    label_names: Sequence[str],
    config: ConfigDict,
    section: str,
    mesh: parallel.Mesh,
) -> Iterator[Scored]:
    """Scores batches of `pipeline.eval_batches`, those of all processes together, as that section of the config says.

    `predict` is the compiled `steps.eval_step`, (variables, batch) -> logits [B V K].
    """
    for batch, ids in parallel.place_ahead(batches, mesh, config.run.prefetch):
        rows = *(batch[name] for name in ('mask', 'damaged', 'label')), predict(variables, batch)
        # Batch s of process p comes before batch s of process p + 1, and after all batches s - 1.
        ids, mask, damaged, labels, logits = (parallel.gather(of) for of in (ids, *map(parallel.to_host, rows)))
        logits = logits[mask]
        if config.augment.flip_labels:
            logits = views.unmirrored(logits, label_names, crops=config[section].crops)
        averaged = views.average(logits, config[section].average)
        yield Scored(ids[mask], labels[mask], logits, averaged, ids[damaged > 0])


def centre_views(
    source: VideoSource, config: ConfigDict, section: str, *, batch_size: int, workers: int
) -> pipeline.EvalBatches:
    """Batches of every video in one view, [B 1 T H W C], the centre as that section of the config takes it.

    This process reads all of them.
    """
    return pipeline.eval_batches(
        source,
        **config.clip,
        clips=1,
        crops=1,
        short_side=config[section].short_side,
        size=config[section].size,
        damaged=config.data.damaged,
        batch_size=batch_size,
        workers=workers,
        shard_index=0,
        shard_count=1,
    )


def protocol(config: ConfigDict, section: str) -> tuple[dict[str, int], dict[str, Any]]:
    """What the pipeline takes of a section of the config, and the rest of it."""
    taken = dict(config[section])
    return taken, {key: taken.pop(key) for key in ('split', 'batch_size', 'average', 'views_at_once')}


def describe(config: ConfigDict, section: str, videos: int) -> str:
    """The protocol in the field's shorthand."""
    clip, views, precise = as_taken(**config.clip), config[section], config.run.precise_batches
    frames = f'{clip["frames"]}x{clip["stride"]}' if 'stride' in clip else clip['frames']
    statistics = f', statistics of {precise} batches of {config.train.batch_size} clips' if precise else ''
    return (
        f'{frames} frames, {views.clips}x{views.crops} views of {views.size}x{views.size}, {clip["sampling"]} '
        f'sampling, {views.average} averaged{statistics} ({videos:,} videos)'
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
    """Writes `folder` anew, by the test protocol; returns the results, with fewer views' scores for the leader.

    `fingerprints` are of the splits that the training read: where it read this one, the results say whether it holds
    the same videos now.
    """
    (taken, rest), precise = protocol(config, 'test'), config.run.precise_batches
    results = account(predictions, config, 'test') | {
        'data': config.data.name,
        'split': rest['split'],
        'fingerprint': source.fingerprint,
        'same_videos': fingerprints[source.split] == source.fingerprint if source.split in fingerprints else None,
        'views': {**as_taken(**config.clip), **taken, 'average': rest['average']},
        'views_curve': scores.curve(predictions, clips=taken['clips'], crops=taken['crops']),
        'backbone': config.model.backbone,
        'norms': config.model.norms,
        'precise_statistics': {'batches': precise, 'clips': config.train.batch_size} if precise else None,
        'step': step,
    }
    if parallel.is_leader():
        with folder_written_whole(folder) as unfinished:
            save(unfinished, predictions, source.label_names, results['protocol'])
            scores.write(unfinished, predictions, results, source.label_names)
    return results
