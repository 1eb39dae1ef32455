"""The score of a checkpoint by its own test protocol, as eval.py takes it."""

from collections.abc import Callable, Sequence
from typing import Any

from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.command.terminal import tell
from dnr_jax.data.source import VideoSource, open_split
from dnr_jax.evaluation import multi_view
from dnr_jax.evaluation.eval_step import make_predict
from dnr_jax.evaluation.precise_statistics import compile_observe, of_whole_batches
from dnr_jax.evaluation.results import expect_replaceable, folder_name, kept_for_results, write
from dnr_jax.evaluation.scoring import evaluate, with_precise_statistics
from dnr_jax.files import AnyPath, absolute, as_path
from dnr_jax.runs import trained_model
from dnr_jax.runs.agreement import expect_alike
from dnr_jax.runs.ownership import as_json


def evaluate_checkpoint(
    workdir: str | AnyPath, which: str, adapt: Callable[[ConfigDict], ConfigDict], out: str | AnyPath | None
) -> dict[str, Any]:
    """Scores a checkpoint of a work folder by its own test protocol; returns the results it has written.

    Args:
      which, adapt: see `trained_model.load`.
      out: folder to write to, in place of all that is in it; None for `WORKDIR/test`, which is of the last checkpoint
        by the protocol of its config, and for others a folder beside it, see `folder_name`.
    Raises ValueError, before anything is scored, if there is no such checkpoint, if the data has none of the classes it
    was trained for, if the test protocol is none, or if `out` holds other files, is in use or cannot be written to.
    """
    mesh = parallel.make_mesh()
    found = trained_model.load(workdir, which, adapt, mesh)
    config = found.config
    multi_view.expect(config.test, 'test')
    source = of_classes(open_split(config.data.name, config.data.dir, config.test.split), found.label_names)
    folder = absolute(as_path(out) if out else as_path(workdir) / folder_name(which, found, source))
    expect_alike({'config': as_json(config), 'step': found.step, 'out': str(folder), 'videos': source.fingerprint})
    expect_replaceable(folder)
    with kept_for_results(folder):
        if parallel.is_leader():
            tell(f'results go to {folder}')
        found = as_scored(found, mesh)
        predict = make_predict(config, found.model, mesh, config.test.views_at_once)
        predictions = evaluate(predict, found.variables, source, config, 'test', mesh, before_batch=lambda: None)
        return write(folder, predictions, source, config, found.step, found.fingerprints)


def of_classes(source: VideoSource, label_names: Sequence[str]) -> VideoSource:
    """The videos with the labels that a model of these classes knows them by; ValueError if it knows none of theirs."""
    if set(source.label_names) & set(label_names):
        return source.of_classes(label_names)
    remedy = 'give data of its classes with --config.data.name and --config.data.dir.'
    if len(source.label_names) == len(label_names):
        remedy = (
            'converted weights take the names of their classes from python -m dnr_jax.convert ... --data, or '
            f'--classes=FILE; of a training, {remedy}'
        )
    raise ValueError(
        f'The checkpoint tells apart {len(label_names)} classes ({", ".join(label_names[:3])}, ...), {source.name} has '
        f'{len(source.label_names)} others ({", ".join(source.label_names[:3])}, ...); {remedy}'
    )


def as_scored(found: trained_model.Trained, mesh: parallel.Mesh) -> trained_model.Trained:
    """With the statistics that scores are taken with, see `with_precise_statistics`.

    Raises ValueError if the videos to take them of are not those that the model was trained on.
    """
    config, variables = found.config, found.variables
    if not config.run.precise_batches:
        return found
    train = open_split(config.data.name, config.data.dir, config.data.train_split)
    if found.fingerprints.get(train.split, train.fingerprint) != train.fingerprint:
        raise ValueError(
            f'Precise statistics are of the videos that a model was trained on, and {train.name} holds others: give '
            'those with --config.data.name and --config.data.dir, or take config.run.precise_batches=0.'
        )
    observe = compile_observe(of_whole_batches(found.model), variables, config.pixels.to_dict(), mesh)
    return found._replace(
        variables=with_precise_statistics(observe, variables, train, config, mesh, before_batch=lambda: None)
    )
