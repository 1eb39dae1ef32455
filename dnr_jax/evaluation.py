"""The one way a score is taken, by train.py while it trains and by eval.py afterwards.

Every video is scored exactly once; the logits of its views are averaged. A score is nothing without its protocol,
so both are written together:

    predictions.npz   ids, labels, logits
    results.json      top-1, top-5, mean class accuracy; protocol; number of videos; checkpoint
    confusion.png     rows are labels, columns predictions

Axes: N videos, K classes.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from ml_collections import ConfigDict

from dnr_jax import metrics, parallel, steps, trained
from dnr_jax.bars import bar
from dnr_jax.data import pipeline
from dnr_jax.data.source import VideoSource, open_split
from dnr_jax.files import written_whole
from dnr_jax.precise import precise_statistics
from dnr_jax.setup import read

matplotlib.use('Agg')


class Predictions(NamedTuple):
    """Logits and label of every video."""

    ids: np.ndarray  # [N] of str
    labels: np.ndarray  # [N]
    logits: np.ndarray  # [N K]


def evaluate_checkpoint(
    workdir: str | Path, which: str, adapt: Callable[[ConfigDict], ConfigDict], out: str | Path | None
) -> dict[str, Any]:
    """Scores a checkpoint of a work folder by its own test protocol; returns the results it has written.

    Args:
      which, adapt: see `trained.load`.
      out: folder to write to; None for `WORKDIR/test`.
    Raises ValueError if there is no such checkpoint, or if the data has other classes than it was trained for.
    """
    mesh = parallel.make_mesh()
    model, variables, config, label_names, step = trained.load(workdir, which, adapt, mesh)
    source = open_split(config.data.name, config.data.dir, config.test.split)
    expect_classes(source, label_names, config)
    if config.run.precise_batches:
        train = open_split(config.data.name, config.data.dir, config.data.train_split)
        variables = with_precise_statistics(model, variables, train, config, mesh)
    predict = compile_predict(model, config, mesh)
    predictions = evaluate(predict, variables, source, config, 'test', mesh, before_batch=lambda: None)
    return write(Path(out) if out else Path(workdir) / 'test', predictions, label_names, config, step)


def expect_classes(source: VideoSource, label_names: Sequence[str], config: ConfigDict) -> None:
    """Raises ValueError unless the data has these classes in this order."""
    if source.label_names != label_names:
        raise ValueError(
            f'The checkpoint tells apart {len(label_names)} classes ({", ".join(label_names[:3])}, ...), the data in '
            f'{config.data.dir} has {len(source.label_names)} ({", ".join(source.label_names[:3])}, ...); '
            'give the data set it was trained on with --config.data.dir.'
        )


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


def compile_predict(model: nn.Module, config: ConfigDict, mesh: parallel.Mesh) -> Callable:
    """(variables, batch) -> logits, over all devices."""
    return parallel.compile_eval_step(partial(steps.eval_step, model=model, pixels=config.pixels.to_dict()), mesh)


def evaluate(
    predict: Callable,
    variables: Mapping[str, Any],
    source: VideoSource,
    config: ConfigDict,
    section: str,
    mesh: parallel.Mesh,
    before_batch: Callable[[], None],
) -> Predictions:
    """Scores every video of `source` once, by the protocol of that section of the config; all processes get all scores.

    Args:
      predict: the compiled `steps.eval_step`, (variables, batch) -> logits.
      section: 'validation' or 'test'.
      before_batch: called before each batch, by all processes alike.
    """
    split, batch_size, views = protocol(config, section)
    batches = pipeline.eval_batches(
        source,
        **config.clip,
        **views,
        batch_size=parallel.per_process(batch_size, mesh, f'{section}.batch_size'),
        workers=config.run.workers,
        shard_index=jax.process_index(),
        shard_count=jax.process_count(),
    )
    rows = []
    with closing(batches), bar(len(source), split, ' videos', leave=False, shown=parallel.is_leader()) as progress:
        for batch, ids in parallel.place_ahead(called_before(before_batch, batches), mesh, config.run.prefetch):
            scored, labels = parallel.to_host(batch['mask']), parallel.to_host(batch['label'])
            rows.append((scored, ids, labels, parallel.to_host(predict(variables, batch))))
            progress.update(min(int(scored.sum()) * jax.process_count(), len(source) - progress.n))
    predictions = in_order(*(np.stack(column) for column in zip(*rows, strict=True)))
    assert len(predictions.ids) == len(source), 'every video is scored exactly once'
    return predictions


def called_before(call: Callable[[], None], batches: Iterable) -> Iterator:
    """The batches, with the call before each of them."""
    batches = iter(batches)
    while True:
        call()
        try:
            yield next(batches)
        except StopIteration:
            return


def in_order(scored: np.ndarray, *columns: np.ndarray) -> Predictions:
    """The predictions of all processes, in the order of the videos; `scored` and the columns are [batches B ...]."""
    # Batch s of process p comes before batch s of process p + 1, and after all batches s - 1.
    scored, *columns = (
        np.stack(np.split(parallel.gather(column), jax.process_count()), axis=1) for column in (scored, *columns)
    )
    return Predictions(*(column[scored] for column in columns))


def protocol(config: ConfigDict, section: str) -> tuple[str, int, dict[str, int]]:
    """Split, batch size and views of a section of the config."""
    views = dict(config[section])
    return views.pop('split'), views.pop('batch_size'), views


def summarize(predictions: Predictions) -> dict[str, float]:
    """Top-1, top-5, mean class accuracy (shares of 1), mean cross-entropy in nats, and how many videos."""
    everything = jnp.ones(len(predictions.labels), bool)
    averages = metrics.averages(jnp.asarray(predictions.logits), jnp.asarray(predictions.labels), everything)
    confusion = confusion_matrix(predictions)
    return {
        'top1': float(averages['top1']),
        'top5': float(averages['top5']),
        'mean_class_accuracy': metrics.mean_class_accuracy(confusion),
        'loss': float(averages['loss']),
        'videos': len(predictions.labels),
    }


def confusion_matrix(predictions: Predictions) -> np.ndarray:
    """Counts [K K] of the highest scores."""
    return metrics.confusion_matrix(predictions.logits.argmax(axis=1), predictions.labels, predictions.logits.shape[1])


def describe(config: ConfigDict, section: str) -> str:
    """The protocol in the field's shorthand."""
    views = config[section]
    return (
        f'{config.clip.frames}x{config.clip.stride} frames, {views.clips}x{views.crops} views of '
        f'{views.size}x{views.size}, logits averaged'
    )


def to_text(results: Mapping[str, Any]) -> str:
    """The results in one line."""
    return (
        f'top-1 {results["top1"]:.4%}  top-5 {results["top5"]:.4%}  '
        f'mean class {results["mean_class_accuracy"]:.4%}  ({results["videos"]} videos)'
    )


def write(
    folder: Path, predictions: Predictions, label_names: Sequence[str], config: ConfigDict, step: int
) -> dict[str, Any]:
    """Writes predictions, results and confusion matrix of the test protocol to `folder`; returns the results."""
    split, _, views = protocol(config, 'test')
    results = summarize(predictions) | {
        'protocol': describe(config, 'test'),
        'data': config.data.name,
        'split': split,
        'views': {**config.clip, **views, 'average': 'logits'},
        'backbone': config.model.backbone,
        'norms': config.model.norms,
        'step': step,
    }
    if not parallel.is_leader():
        return results
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / 'predictions.npz') as path:
        np.savez_compressed(path, **predictions._asdict(), label_names=np.array(label_names))
    with written_whole(folder / 'confusion.png') as path:
        draw_confusion(path, confusion_matrix(predictions), label_names, to_text(results))
    with written_whole(folder / 'results.json') as path:
        path.write_text(json.dumps(results, indent=2) + '\n')
    return results


def draw_confusion(path: Path, confusion: np.ndarray, label_names: Sequence[str], title: str) -> None:
    """The confusion matrix as a picture: shares of each label, with counts where they can be read."""
    from matplotlib import pyplot

    classes = len(label_names)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = min(max(4.5, 0.55 * classes + 2), 14)
    figure, axes = pyplot.subplots(figsize=(side + 1, side), layout='constrained')
    image = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    figure.colorbar(image, label='share of the label', shrink=0.8)
    axes.set(xlabel='predicted', ylabel='label')
    axes.set_title(title, fontsize='medium')
    if classes <= 40:
        axes.set_xticks(range(classes), label_names, rotation=90)
        axes.set_yticks(range(classes), label_names)
    if classes <= 20:
        for row, column in np.argwhere(confusion):
            colour = 'white' if shares[row, column] > 0.5 else 'black'
            axes.text(column, row, confusion[row, column], ha='center', va='center', color=colour)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
