"""The one way a score is taken, by train.py while it trains and by eval.py afterwards.

Every video is read exactly once, and scored or listed as damaged; every view is kept, and the views of a video are
averaged.

Axes: N videos, B videos of a batch, V views, K classes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.command.bars import bar
from dnr_jax.data import pipeline
from dnr_jax.data.source import VideoSource
from dnr_jax.data.video.errors import Reason
from dnr_jax.evaluation import multi_view
from dnr_jax.evaluation.batches import SCORED, called_before, scored_batches, training_batches
from dnr_jax.evaluation.eval_step import make_predict
from dnr_jax.evaluation.precise_statistics import as_running, of_every_hop, scored_model
from dnr_jax.evaluation.predictions import Missing, Predictions


def make_predicts(config: ConfigDict, model: nn.Module, mesh: parallel.Mesh) -> dict[str, Callable]:
    """The `make_predict` of every section that is scored; one and the same where they share it."""
    at_once = {section: config[section].views_at_once for section in SCORED}
    scored = scored_model(model, config.run.self_inclusive)
    predict_by = {views: make_predict(config, scored, mesh, views) for views in at_once.values()}
    return {section: predict_by[views] for section, views in at_once.items()}


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
      predict: the compiled `eval_step.eval_step`, (variables, batch) -> logits [B V K].
      section: 'validation' or 'test'.
      before_batch: called before each batch, by all processes alike.
    """
    batches, of = scored_batches(config, source, section, mesh), config[section]
    scoring = score_each(
        predict, variables, called_before(before_batch, batches), source.label_names, config, section, mesh
    )
    shape = len(source), of.clips * of.crops, len(source.label_names)
    every_view = np.empty(shape, np.float32) if parallel.is_leader() else None
    done, rows = 0, []
    missing = [Missing(failure.id, failure.reason) for failure in source.failures]
    with closing(batches), bar(len(source), of.split, ' videos', leave=False, shown=parallel.is_leader()) as shown:
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


def with_precise_statistics(
    observe: Callable,
    variables: Mapping[str, Any],
    train: VideoSource,
    config: ConfigDict,
    mesh: parallel.Mesh,
    before_batch: Callable[[], None],
) -> dict[str, Any]:
    """The variables with precise statistics, those of the first `config.run.precise_batches` batches of training.

    Of whole batches, whatever the scope in training: those of the clips of a device would follow their number. Where
    clips are counted into sets (`config.run.self_inclusive`), of such sets, and of every hop by itself.

    Args:
      observe: see `precise_statistics.compile_observe`.
      before_batch: see `evaluate`.
    """
    with closing(training_batches(config, train, mesh, start_step=0)) as batches:
        first = islice(called_before(before_batch, batches), config.run.precise_batches)
        per_hop = of_every_hop(observe, variables, first, mesh)
    running = variables['batch_stats']
    return {**variables, 'batch_stats': per_hop if config.run.self_inclusive else as_running(per_hop, running)}


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

    `predict` is the compiled `eval_step.eval_step`, (variables, batch) -> logits [B V K].
    """
    for batch, ids in parallel.place_ahead(batches, mesh, config.run.prefetch):
        rows = *(batch[name] for name in ('mask', 'damaged', 'label')), predict(variables, batch)
        # Batch s of process p comes before batch s of process p + 1, and after all batches s - 1.
        ids, mask, damaged, labels, logits = (parallel.gather(of) for of in (ids, *map(parallel.to_host, rows)))
        logits = logits[mask]
        if config.augment.flip_labels:
            logits = multi_view.unmirrored(logits, label_names, crops=config[section].crops)
        averaged = multi_view.average(logits, config[section].average)
        yield Scored(ids[mask], labels[mask], logits, averaged, ids[damaged > 0])
