"""The steps of a config, compiled from shapes alone, and what a compiler answers that cannot make one."""

import re
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.ahead_of_time import hlo
from dnr_jax.evaluation.batches import training_shape, views_shape
from dnr_jax.training.setup import assemble

EPOCH = 1000  # steps, where no data says how many; a schedule is a few numbers of a program, whatever they are
OUT_OF_MEMORY = 'RESOURCE_EXHAUSTED'
SCALES = {'K': 2**10, 'M': 2**20, 'G': 2**30}


class Answer(NamedTuple):
    """What a compiler says of a step.

    Attributes:
      program: None where it makes none. peak: bytes of memory per device, None where it does not say.
      seconds: that it took. refusal: why there is no program, in one line; empty where there is one.
    """

    program: hlo.Program | None
    peak: int | None
    seconds: float
    refusal: str

    @property
    def out_of_memory(self) -> bool:
        return self.refusal.startswith(OUT_OF_MEMORY)


def train_step(config: ConfigDict, mesh: parallel.Mesh, classes: int) -> jax.stages.Compiled:
    """The training step; ValueError for a config that does not fit."""
    parts = assemble(config, mesh, classes, EPOCH)
    return parallel.compiled(parts.train_step, parts.shapes(), training_shape(config), mesh)


def test_step(config: ConfigDict, mesh: parallel.Mesh, classes: int) -> jax.stages.Compiled:
    """The step that scores by config.test; ValueError for a config that does not fit."""
    parts = assemble(config, mesh, classes, EPOCH)
    return parallel.compiled(parts.predict['test'], parts.shapes().variables, views_shape(config, 'test', mesh), mesh)


def ask(compile: Callable[[], jax.stages.Compiled]) -> Answer:
    """What the compiler answers; too little memory is an answer like any other."""
    started = time.monotonic()
    try:
        compiled = compile()
    except jax.errors.JaxRuntimeError as error:
        refusal = str(error).partition('\n')[0]
        return Answer(None, used(refusal), time.monotonic() - started, refusal)
    seconds = time.monotonic() - started
    return Answer(hlo.Program(compiled.as_text()), parallel.peak_bytes(compiled), seconds, '')


def used(refusal: str) -> int | None:
    """The bytes that did not fit: the first that are named, of '... Used 20.04G of 15.75G hbm ...' and the like."""
    found = re.search(r'\b(\d+(?:\.\d+)?)([KMG])\b', refusal)
    return found and int(float(found[1]) * SCALES[found[2]])
