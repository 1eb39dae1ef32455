"""The score of a checkpoint by its own test protocol, as eval.py takes it."""

from collections.abc import Callable, Sequence
from typing import Any

from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.command.terminal import tell
from dnr_jax.data.source import VideoSource, split_of
from dnr_jax.evaluation import multi_view
from dnr_jax.evaluation.eval_step import make_predict
from dnr_jax.evaluation.precise_statistics import expect_sets, make_observe, scored_model
from dnr_jax.evaluation.results import expect_replaceable, folder_name, kept_for_results, results_in, write
from dnr_jax.evaluation.scoring import evaluate, with_precise_statistics
from dnr_jax.files import AnyPath, absolute, as_path
from dnr_jax.runs import trained_model
from dnr_jax.runs.agreement import expect_alike
from dnr_jax.runs.ownership import as_json


def evaluate_checkpoint(
    workdir: str | AnyPath, which: str, adapt: Callable[[ConfigDict], ConfigDict], out: str | AnyPath | None
) -> dict[str, Any]:
    """Scores a checkpoint of a work folder by its own test protocol, see `Scorer`; returns the results."""
    return Scorer(workdir, adapt, out).score(which)


class Scorer:
    """Scores checkpoints of a work folder by their own test protocol; what they have in common is compiled once.

    Args:
      adapt: see `trained_model.load`.
      out: folder to write to, in place of all that is in it; None for `WORKDIR/test`, which is of the last checkpoint
        by the protocol of its config, and for others a folder beside it, see `folder_name`.
    """

    def __init__(self, workdir: str | AnyPath, adapt: Callable[[ConfigDict], ConfigDict], out: str | AnyPath | None):
        self._workdir, self._adapt, self._out, self._mesh = as_path(workdir), adapt, out, parallel.make_mesh()
        self._predict_of: tuple[Any, Callable] | None = None  # a model and its config, and the step that was made of it

    def score(self, which: str, anew: bool = True) -> dict[str, Any]:
        """Scores a checkpoint, see `trained_model.load`; returns the results it has written.

        Those that lie in its folder already are returned, unless `anew`. Raises ValueError, before anything is scored,
        if there is no such checkpoint, if the data has none of the classes it was trained for, if the test protocol is
        none, or if its folder holds other files, is in use or cannot be written to.
        """
        mesh = self._mesh
        found = trained_model.load(self._workdir, which, self._adapt, mesh)
        config = found.config
        multi_view.expect(config.test, 'test')
        source = of_classes(split_of(config.data, config.test.split), found.label_names)
        folder = absolute(as_path(self._out) if self._out else self._workdir / folder_name(which, found, source))
        expect_alike({'config': as_json(config), 'step': found.step, 'out': str(folder), 'videos': source.fingerprint})
        expect_replaceable(folder)
        if not anew and (there := results_in(folder)) and there['step'] == found.step:
            return there
        with kept_for_results(folder):
            if parallel.is_leader() and anew:
                tell(f'results go to {folder}')
            found = as_scored(found, mesh)
            predict, variables = self._predict(found), found.variables
            predictions = evaluate(predict, variables, source, config, 'test', mesh, before_batch=lambda: None)
            return write(folder, predictions, source, config, found.step, found.fingerprints)

    def _predict(self, found: trained_model.Trained) -> Callable:
        made_of = found.model, as_json(found.config)
        if self._predict_of is None or self._predict_of[0] != made_of:
            of_config = make_predict(found.config, found.model, self._mesh, found.config.test.views_at_once)
            self._predict_of = made_of, of_config
        return self._predict_of[1]


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
    """The model that scores, with the statistics that scores are taken with, see `with_precise_statistics`.

    Raises ValueError if the videos to take them of are not those that the model was trained on.
    """
    config, variables = found.config, found.variables
    expect_sets(config)
    if not config.run.precise_batches:
        return found
    train = split_of(config.data, config.data.train_split)
    if found.fingerprints.get(train.split, train.fingerprint) != train.fingerprint:
        raise ValueError(
            f'Precise statistics are of the videos that a model was trained on, and {train.name} holds others: give '
            'those with --config.data.name and --config.data.dir, or take config.run.precise_batches=0.'
        )
    observe = make_observe(config, found.model, variables, mesh)
    return found._replace(
        model=scored_model(found.model, config.run.self_inclusive),
        variables=with_precise_statistics(observe, variables, train, config, mesh, before_batch=lambda: None),
    )
