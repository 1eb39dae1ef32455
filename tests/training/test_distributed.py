"""Two processes with two devices each are one process with four; and what becomes of one when the other is gone."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from test_commands import ROOT, SMALL, environment

from dnr_jax.runs import manifest

RUN = [
    '--config.train.batch_size=16',
    '--config.validation.batch_size=12',  # 32 videos: the last batch is not full
    '--config.test.batch_size=12',
    '--config.run.log_every_steps=1',
    '--config.run.workers=0',
]
ONE_EPOCH = ['--config=tests/training/one_block.py:resnet2,batch', *SMALL[1:]]  # which compiles fast
ENDLESS = ['--config=configs/moving_shapes.py:resnet18,batch', *SMALL[1:], '--config.train.epochs=1000']
PATIENCE = 120  # seconds for what takes some twenty


@contextmanager
def started(workdir, tiny_dir, processes, devices, *arguments, slurm=False, own=(), at=None):
    """That many processes of one training, with a log each; under SLURM they find each other by their environment.

    `own` are arguments of the last one alone. `at` is the work folder where that is not beside the logs.
    """
    command = [
        sys.executable,
        'train.py',
        *arguments,
        *RUN,
        f'--config.data.dir={tiny_dir}',
        f'--workdir={at or workdir}',
    ]
    if slurm:
        command += ['--coordinator=auto']
    elif processes > 1:
        with socket.socket() as free:
            free.bind(('localhost', 0))
            port = free.getsockname()[1]
        command += [f'--coordinator=localhost:{port}', f'--processes={processes}']
    workdir.parent.mkdir(parents=True, exist_ok=True)
    logs = [workdir.parent / f'{workdir.name}.{number}.log' for number in range(processes)]
    children = []
    try:
        for number, log in enumerate(logs):
            numbered = [f'--process={number}'] if processes > 1 and not slurm else []
            last = own if number == processes - 1 else ()
            env = environment(devices) | (slurm_environment(number, processes) if slurm else {})
            with log.open('w') as file:
                child = subprocess.Popen(
                    [*command, *numbered, *last], cwd=ROOT, env=env, stdout=file, stderr=subprocess.STDOUT
                )
            children.append(child)
        yield children, logs
    finally:
        for child in children:
            child.kill()
            child.wait()


def slurm_environment(number, processes):
    """What SLURM tells a task of a job on this machine; JAX takes a port by the number of the job."""
    told = {'JOB_ID': os.getpid(), 'STEP_NODELIST': 'localhost', 'NTASKS': processes, 'PROCID': number}
    return {f'SLURM_{name}': str(value) for name, value in (told | {'LOCALID': number, 'STEP_NUM_NODES': 1}).items()}


def wait_until_step(log, step):
    wait_until(log, f'step {step:>6}/')


def wait_until(log, text):
    wait_for(lambda: text in log.read_text(), log)


def wait_for(condition, log):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)


def without_pace(workdir):
    lines = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ('clips_per_second', 'waiting_share')} for line in lines]


def test_two_processes_are_one(tiny_dir, tmp_path):
    one, two = tmp_path / 'one', tmp_path / 'two'
    for workdir, processes, devices in ((one, 1, 4), (two, 2, 2)):
        with started(workdir, tiny_dir, processes, devices, *ONE_EPOCH) as (children, logs):
            assert [child.wait(PATIENCE) for child in children] == [0] * processes, logs[-1].read_text()
    for line, other in zip(without_pace(one), without_pace(two), strict=True):
        assert line.pop('kind') == other.pop('kind')
        assert line == pytest.approx(other, rel=1e-4, abs=1e-5)
    predictions = [dict(np.load(workdir / 'test/predictions.npz')) for workdir in (one, two)]
    np.testing.assert_array_equal(predictions[0]['ids'], predictions[1]['ids'])
    np.testing.assert_array_equal(predictions[0]['labels'], predictions[1]['labels'])
    np.testing.assert_allclose(predictions[0]['logits'], predictions[1]['logits'], rtol=1e-3, atol=1e-5)
    assert 'top-1' not in logs[1].read_text()  # one tells, the other is silent


def assert_all_end(children, logs, words):
    assert [child.wait(PATIENCE) for child in children] == [2] * len(children), logs[0].read_text()
    assert all(words in log.read_text() for log in logs), logs[0].read_text()


def test_processes_that_differ_or_are_mistaken_end_together(tiny_dir, tmp_path):
    with started(tmp_path / 'run', tiny_dir, 2, 1, *ENDLESS, own=['--config.seed=5']) as run:
        assert_all_end(*run, 'process 1 differs from process 0 in config.seed (0 there, 5 here)')
    with started(tmp_path / 'run', tiny_dir, 2, 1, *ENDLESS, own=['--config.data.dir=nowhere']) as run:
        assert_all_end(*run, 'dnr_jax.data.prepare')
    assert not (tmp_path / 'run').exists()


@pytest.mark.every
def test_all_stop_at_the_same_step_when_one_is_asked(tiny_dir, tmp_path):
    workdir = tmp_path / 'run'
    with started(workdir, tiny_dir, 2, 1, *ENDLESS, slurm=True) as (children, logs):
        wait_until_step(logs[0], 3)
        children[1].send_signal(signal.SIGTERM)
        assert [child.wait(PATIENCE) for child in children] == [143, 143], logs[0].read_text()
    assert 'the same command goes on from here' in logs[0].read_text()
    steps = [int(path.name) for path in (workdir / 'checkpoints').iterdir() if path.name.isdigit()]
    assert max(steps) >= 3 and manifest.damage(workdir / 'checkpoints' / str(max(steps))) is None


def test_while_they_compile_they_stop_at_once(tiny_dir, tmp_path):
    with started(tmp_path / 'run', tiny_dir, 2, 1, *ENDLESS) as (children, logs):
        wait_until(logs[0], 'clips per statistic')
        for child in children:  # the leader first, without which JAX aborts the others
            child.send_signal(signal.SIGTERM)
            time.sleep(0.5)
        assert [child.wait(30) for child in children] == [143, 143], logs[0].read_text()
    assert 'before there was anything to save' in logs[0].read_text()


@pytest.mark.every
def test_a_dead_process_ends_the_other(tiny_dir, tmp_path):
    with started(tmp_path / 'run', tiny_dir, 2, 1, *ENDLESS) as (children, logs):
        wait_until_step(logs[0], 2)
        children[1].kill()
        killed = time.monotonic()
        assert children[0].wait(PATIENCE) != 0
        assert time.monotonic() - killed < 60
    assert 'another process of the run has died' in logs[0].read_text()


@pytest.mark.every
def test_a_stalled_process_ends_the_other(tiny_dir, tmp_path):
    with started(tmp_path / 'run', tiny_dir, 2, 1, *ENDLESS, '--config.run.watchdog_seconds=4') as (children, logs):
        wait_until_step(logs[0], 2)
        children[1].send_signal(signal.SIGSTOP)
        assert children[0].wait(60) == 3
    assert 'waited 4 s for' in logs[0].read_text()
