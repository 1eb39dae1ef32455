"""Checkpoints that are taken away while they are read, for a training goes on there and keeps but the newest."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dnr_jax.files import AnyPath, is_remote
from dnr_jax.runs import manifest

TRIES = 20  # to read a checkpoint of a training that goes on, and takes the old ones away
GOING = 0.2  # seconds that this may take


class Gone(Exception):
    """A checkpoint was taken away while it was read."""


def while_there(read: Callable[[], Any], folder: AnyPath) -> Any:
    """What `read` reads, as soon as nothing of it was taken away meanwhile."""
    for _ in range(TRIES):
        try:
            return read()
        except Gone:
            continue
    raise ValueError(
        f'The checkpoints of {folder} were taken away {TRIES} times while they were read: a training goes on there and '
        'saves faster than that. Raise its config.run.keep or .checkpoint_every_steps, or take a copy of the folder.'
    )


@contextmanager
def gone_if_not_there(path: AnyPath) -> Iterator[None]:
    """Where something goes wrong within the block, and the checkpoint is being taken away, that is the reason."""
    try:
        yield
    except Exception as error:
        if is_going(path):
            raise Gone from error
        raise


def is_going(path: AnyPath) -> bool:
    """Whether a folder is gone, or is so soon; of a bucket its seal, which goes first."""
    deadline = time.monotonic() + GOING
    while (path / manifest.NAME if is_remote(path) else path).exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(GOING / 10)
    return True
