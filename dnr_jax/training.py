"""Training from a config and a work folder: everything is checked first, then one loop over steps.

    WORKDIR/config.json        what this folder trains; another config is refused
    WORKDIR/checkpoints/STEP   see `checkpoints`; a run that is started again goes on from the newest
    WORKDIR/metrics.jsonl, tensorboard/
    WORKDIR/test/              the final score, see `evaluation`

The position in the data follows from the step, so a continued run sees the clips it would have seen.
"""

import json
import math
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import optax
from ml_collections import ConfigDict

from dnr_jax import evaluation, models, optimizers, parallel, steps
from dnr_jax.checkpoints import Checkpoints, abstract
from dnr_jax.data import pipeline
from dnr_jax.data.source import VideoSource, open_split
from dnr_jax.files import written_whole
from dnr_jax.identity import CHANGEABLE, differences
from dnr_jax.progress import Progress
from dnr_jax.reporting import Reporter
from dnr_jax.state import TrainState, create_state, parameter_count


class Setup(NamedTuple):
    """All parts of a training, made and checked before anything expensive begins."""

    train: VideoSource
    validation: VideoSource
    test: VideoSource
    model: nn.Module
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    mesh: parallel.Mesh
    create: Callable[[jax.Array], TrainState]
    steps_per_epoch: int
    total_steps: int


def train_and_evaluate(config: ConfigDict, workdir: str | Path) -> dict[str, Any]:
    """Trains to the last step, going on from the newest checkpoint of `workdir`; returns the test results.

    Raises ValueError for what does not fit together in the config, before anything is compiled or written, and
    FloatingPointError when the loss is no longer finite.
    """
    workdir = Path(workdir)
    setup = prepare(config)
    claim(workdir, config)
    about = {'config': config.to_dict(), 'label_names': setup.train.label_names}
    predict = evaluation.compile_predict(setup.model, config, setup.mesh)
    with Checkpoints(workdir / 'checkpoints', config.run.keep) as checkpoints:
        state = start(setup, config.seed, checkpoints)
        with Reporter(workdir, int(state.step)) as reporter:
            reporter.line(introduce(config, setup, int(state.step)))

            def validate(state: TrainState) -> dict[str, float]:
                predictions = evaluation.evaluate(
                    predict, state.variables, setup.validation, config, 'validation', setup.mesh
                )
                scores = evaluation.summarize(predictions)
                reporter.scalars(int(state.step), 'validation', scores)
                reporter.line(f'validation   {evaluation.to_text(scores)}')
                return scores

            def save(state: TrainState, scores: dict[str, float] | None) -> None:
                checkpoints.save(state, about, scores)

            state = train(config, setup, state, save, validate, reporter)
            predictions = evaluation.evaluate(predict, state.variables, setup.test, config, 'test', setup.mesh)
            results = evaluation.write(workdir / 'test', predictions, setup.train.label_names, config, int(state.step))
            reporter.scalars(int(state.step), 'test', evaluation.summarize(predictions))
            reporter.line(f'test         {evaluation.to_text(results)}  {results["protocol"]}')
    return results


def prepare(config: ConfigDict) -> Setup:
    """Opens the data and puts model and optimizer together, shapes checked; ValueError for what does not fit."""
    mesh = parallel.make_mesh()
    for section in ('train', 'validation', 'test'):
        parallel.per_process(config[section].batch_size, mesh, f'{section}.batch_size')
    splits = (config.data.train_split, config.validation.split, config.test.split)
    train, validation, test = (open_split(config.data.name, config.data.dir, split) for split in splits)
    model = models.build(**config.model.to_dict(), classes=len(train.label_names))

    steps_per_epoch = math.ceil(len(train) / config.train.batch_size)
    schedule = optimizers.learning_rate(**config.schedule, steps_per_epoch=steps_per_epoch, epochs=config.train.epochs)
    optimizer = optimizers.sgd(schedule, **config.optimizer)
    size = config.augment.size
    clip_shape = (config.train.batch_size // mesh.size, config.clip.frames, size, size, 3)
    create = partial(create_state, model=model, optimizer=optimizer, clip_shape=clip_shape)
    jax.eval_shape(create, jax.random.key(config.seed))  # a clip that does not fit the model is refused here
    total_steps = steps_per_epoch * config.train.epochs
    return Setup(train, validation, test, model, optimizer, schedule, mesh, create, steps_per_epoch, total_steps)


def claim(workdir: Path, config: ConfigDict) -> None:
    """Makes the work folder this config's own; ValueError, listing the keys, if it is another's."""
    path = workdir / 'config.json'
    wanted = json.loads(config.to_json())
    if path.exists():
        differing = list(differences(json.loads(path.read_text()), wanted, CHANGEABLE))
        if differing:
            raise ValueError(
                f'{workdir} belongs to another config. Give another --workdir, or the config it was begun with; '
                'they differ in ' + '; '.join(differing) + '.'
            )
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as unfinished:
            unfinished.write_text(json.dumps(wanted, indent=2) + '\n')
    except OSError as error:
        raise ValueError(f'The work folder must be one that can be written to: {error}') from error


def start(setup: Setup, seed: int, checkpoints: Checkpoints) -> TrainState:
    """The newest checkpoint's state, or a fresh one, on all devices."""
    everywhere = parallel.replicated(setup.mesh)
    key = jax.random.key(seed)
    if checkpoints.latest_step is not None:
        return checkpoints.restore(checkpoints.latest_step, abstract(jax.eval_shape(setup.create, key), everywhere))
    return jax.jit(setup.create, out_shardings=everywhere)(key)


def train(
    config: ConfigDict, setup: Setup, state: TrainState, save: Callable, validate: Callable, reporter: Reporter
) -> TrainState:
    """Runs all steps that are left. `save(state, metrics)` and `validate(state) -> metrics` are called when due."""
    run, first = config.run, int(state.step) + 1
    train_step = parallel.compile_train_step(
        partial(
            steps.train_step,
            model=setup.model,
            optimizer=setup.optimizer,
            pixels=config.pixels.to_dict(),
            seed=config.seed,
            axis=parallel.AXIS,
        ),
        setup.mesh,
    )
    progress = Progress(reporter, setup.schedule, setup.total_steps, setup.steps_per_epoch, config.train.batch_size)
    with closing(read(config, setup, first - 1)) as batches:
        placed = parallel.place_ahead(batches, setup.mesh, run.prefetch)
        for step in range(first, setup.total_steps + 1):
            with progress.waiting_for_data():
                batch, _ = next(placed)
            state, metrics = train_step(state, batch)
            (progress.first_step if step == first else progress.step)(step, metrics)
            if due(step, run.log_every_steps, setup.total_steps):
                progress.report(step)
            validating = due(step, run.validate_every_epochs * setup.steps_per_epoch, setup.total_steps)
            if validating or due(step, run.checkpoint_every_steps, setup.total_steps):
                with progress.pause():
                    save(state, validate(state) if validating else None)
    return state


def read(config: ConfigDict, setup: Setup, start_step: int) -> pipeline.Batches:
    """This process's training batches from that step on."""
    return pipeline.train_batches(
        setup.train,
        **config.clip,
        **config.augment,
        batch_size=parallel.per_process(config.train.batch_size, setup.mesh, 'train.batch_size'),
        seed=config.seed,
        start_step=start_step,
        workers=config.run.workers,
        shard_index=jax.process_index(),
        shard_count=jax.process_count(),
    )


def due(step: int, every: int, last: int) -> bool:
    """Whether something done every so many steps, and at the last one, is to be done after this step."""
    return step == last or step % every == 0


def introduce(config: ConfigDict, setup: Setup, start_step: int) -> str:
    """What is about to be trained, in three lines."""
    shapes = jax.eval_shape(setup.create, jax.random.key(config.seed))
    devices = setup.mesh.size
    return (
        f'{config.model.backbone}, norms {config.model.norms}: {parameter_count(shapes.params):,} parameters, '
        f'{config.model.dtype}\n'
        f'{config.data.name}: {len(setup.train):,} clips to train, {len(setup.validation):,} to validate, '
        f'{len(setup.test):,} to test; {len(setup.train.label_names)} classes\n'
        f'{parallel.describe(setup.mesh)}, {config.train.batch_size} clips a '
        f'step, {config.train.batch_size // devices} per statistic; steps {start_step} to {setup.total_steps}, '
        f'{setup.steps_per_epoch} an epoch'
    )
