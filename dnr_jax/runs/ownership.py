"""A work folder belongs to one run at a time, and to one training: its config, its videos, and its arrays."""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.command.terminal import tell
from dnr_jax.data.source import VideoSource
from dnr_jax.files import AnyPath, held, is_remote, make_folder, written_whole
from dnr_jax.runs import checkpoints
from dnr_jax.runs.agreement import all_or_none
from dnr_jax.runs.identity import CHANGEABLE, completed, differences

OF_CHECKPOINTS = 'test', 'watched', 'study'  # folders of a work folder, and 'test-step=40' and so on
SHOWN_WITHIN = 60.0  # seconds, in which a new file on a disk of the network is seen by all hosts


@contextmanager
def claimed(workdir: AnyPath, config: ConfigDict, allow_change: Sequence[str]) -> Iterator[None]:
    """Makes the work folder this config's own, once all within the block has gone well.

    ValueError, listing the keys, if there are checkpoints of another config; keys named in `allow_change` may differ.
    """
    path, wanted = workdir / 'config.json', as_json(config)
    if there := begun(workdir):
        differing = list(differences(there, wanted, (*CHANGEABLE, *allow_change)))
        if differing:
            raise ValueError(
                f'{workdir} belongs to another config. Give another --workdir, the config it was begun with, or allow '
                f'what is meant to change with --allow_change=KEY; they differ in {"; ".join(differing)}.'
            )
    parallel.barrier('configs are compared')
    with ExitStack() as stack:
        if parallel.is_leader():
            stack.enter_context(written_whole(path)).write_text(json.dumps(wanted, indent=2) + '\n')
        yield


def begun(workdir: AnyPath) -> dict[str, Any]:
    """The config of the training that a work folder holds; empty if it has no checkpoint."""
    path = workdir / 'config.json'
    return read(path) if path.exists() and checkpoints.any_in(workdir / 'checkpoints') else {}


def expect_no_other(workdir: AnyPath) -> None:
    """Raises ValueError for scores and answers in a work folder without a checkpoint: they are of another training.

    `eval.py --watch` would tell them as those of this one, whose checkpoints have the same steps.
    """
    if checkpoints.any_in(workdir / 'checkpoints') or not workdir.is_dir():
        return
    left = sorted(path.name for path in workdir.iterdir() if path.name.partition('-')[0] in OF_CHECKPOINTS)
    if left:
        raise ValueError(
            f'Expected a new work folder, or one with checkpoints, got {workdir} with what is said of others: '
            f'{", ".join(left[:3])}. Give another --workdir, or take these away.'
        )


@contextmanager
def kept(file: AnyPath, what: str, patient: bool = False) -> Iterator[None]:
    """Keeps a folder, `what` to read, for this run alone, by the lock `file`; its own folder is made.

    Of several processes one holds it. ValueError, on all of them, if another run has it, which a patient one waits for,
    or if it cannot be written to.
    """
    with ExitStack() as stack:
        with all_or_none():
            if parallel.is_leader():
                try:
                    make_folder(file.parent)
                    stack.enter_context(held(file, what, patient, tell=tell))
                except OSError as error:
                    raise ValueError(f'{what} must be one that can be written to: {error}') from error
        yield


def expect_shared(file: AnyPath, what: str) -> None:
    """Raises ValueError, on all processes, where one does not see the lock `file` that another holds, see `kept`.

    A disk that is shared may show it late.
    """
    if is_remote(file):
        return
    written, deadline = parallel.gather(np.array([_text_of(file)]))[0], time.monotonic() + SHOWN_WITHIN
    with all_or_none():
        while _text_of(file) != written:
            if time.monotonic() > deadline:
                raise ValueError(
                    f'{what} is not one for all processes: that of process 0 is not seen on {socket.gethostname()}. '
                    'Give a folder on a disk that all hosts share, or in a bucket, gs:// or s3://.'
                )
            time.sleep(SHOWN_WITHIN / 100)


def _text_of(file: AnyPath) -> str:
    try:
        os.listdir(file.parent)  # a disk of the network is asked anew what there is
        return file.read_text()
    except OSError:
        return ''


def read(path: AnyPath) -> dict[str, Any]:
    """The config.json of a work folder; ValueError if it is damaged."""
    try:
        config = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        config = error
    if not isinstance(config, dict):
        raise ValueError(f'{path} holds no config. Give another --workdir, or put it back: checkpoints hold it too.')
    return completed(config)


def expect_same_videos(there: Mapping[str, str], train: VideoSource, allow_change: Sequence[str]) -> None:
    """Raises ValueError if a training that began with those fingerprints would go on with other videos.

    Converted weights have read no videos: they are not a training to go on with.
    """
    if not there:
        raise ValueError(
            'The work folder holds converted weights and no training. Give another --workdir, and this one as '
            'config.init_from.'
        )
    if there.get(train.split) != train.fingerprint and 'data' not in allow_change:
        raise ValueError(
            f'{train.name} does not hold the videos this training began with (now {len(train):,}). Give the data set '
            'back, or allow the change with --allow_change=data.'
        )


def expect_steps_left(step: int, last: int, config: ConfigDict) -> None:
    """Raises ValueError for a training that would end before the step of its checkpoint."""
    if step > last:
        raise ValueError(
            f'The checkpoint is of step {step:,}, but config.train.epochs={config.train.epochs} ends at step {last:,}: '
            'nothing would be trained. Give more epochs, or the ones it was begun with; eval.py scores it.'
        )


def expect_same_state(unlike: Sequence[str], there: Mapping[str, Any], config: ConfigDict) -> None:
    """Raises ValueError if arrays of a checkpoint, saved under the config `there`, are unlike those of this config.

    `unlike` says which, see `Checkpoints.unlike`.
    """
    if unlike:
        differing = '; '.join(differences(there, as_json(config), CHANGEABLE))
        raise ValueError(
            f'The checkpoint holds another state than this config trains: {", ".join(unlike[:3])}'
            f'{", ..." * (len(unlike) > 3)}. Give another --workdir, or take back what decides over the state, of the '
            f'keys that differ: {differing}.'
        )


def as_json(config: ConfigDict) -> dict[str, Any]:
    """The config as it is read from JSON, which has no tuples."""
    return json.loads(config.to_json())
