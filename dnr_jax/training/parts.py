"""What a training is made of; see `setup`, which makes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import flax.linen as nn
import jax
import optax

from dnr_jax import parallel
from dnr_jax.data.source import VideoSource
from dnr_jax.runs.state import TrainState


@dataclass(frozen=True)
class Parts:
    """What a training is made of beside its videos."""

    model: nn.Module
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    mesh: parallel.Mesh
    create: Callable[[jax.Array], TrainState]
    train_step: Callable
    frozen_step: Callable | None  # after the share of steps that config.train.statistics_until says, see `step_at`
    moving_steps: int  # with statistics that move; all of them where there is no `frozen_step`
    predict: Mapping[str, Callable]  # by section of SCORED; the same one where both can share it
    observe: Callable | None  # for precise statistics, where they are wanted, see `precise_statistics.compile_observe`
    steps_per_epoch: int
    total_steps: int
    clips_per_statistic: int

    def step_at(self, step: int) -> Callable:
        """The training step that is taken at that step, the first being 1."""
        return self.train_step if step <= self.moving_steps else self.frozen_step

    def shapes(self) -> TrainState:
        """Shapes and types of the state."""
        return jax.eval_shape(self.create, jax.random.key(0))

    def fresh(self, seed: int) -> TrainState:
        """The state at step 0, on all devices."""
        return parallel.compile_for_once(self.create, self.mesh)(jax.random.key(seed))


@dataclass(frozen=True)
class Setup(Parts):
    """All that a training is made of."""

    train: VideoSource
    validation: VideoSource
    test: VideoSource

    @property
    def fingerprints(self) -> dict[str, str]:
        """Which videos every split holds, see `VideoSource`."""
        return {source.split: source.fingerprint for source in (self.train, self.validation, self.test)}
