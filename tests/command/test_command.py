"""What ends a command is called by its name: a process of the run that is gone, or a bug."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from dnr_jax import parallel
from dnr_jax.command import arguments, faults
from dnr_jax.data.workers import guarded_map
from dnr_jax.files.buckets import BucketError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.setattr(parallel, 'has_peers', lambda: True)


GONE = 'UNKNOWN: Gloo all-reduce failed: Connection closed by peer [127.0.0.1]:40671'


def test_a_process_that_is_gone(peers):
    told = faults.of_peer(jax.errors.JaxRuntimeError(GONE))
    assert told.startswith('another process of the run has died') and 'goes on from the newest checkpoint' in told


def test_a_process_that_is_gone_while_rows_are_gathered(peers, monkeypatch):
    error = raised(ValueError(GONE))  # as `multihost_utils.process_allgather` raises it
    assert faults.of_peer(error).startswith('another process of the run has died')
    monkeypatch.setattr(faults, 'HERE', Path(__file__).parent)  # as if it had begun in this package
    assert faults.of_peer(error) is None


@pytest.mark.parametrize('error', [RuntimeError(GONE), jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory')])
def test_other_errors_of_one_of_several(peers, error):
    assert faults.of_peer(error) is None


def test_alone_nobody_is_gone():
    assert faults.of_peer(jax.errors.JaxRuntimeError(GONE)) is None


def test_a_device_with_too_little_memory():
    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        jnp.zeros((2**25, 2**25), 'uint8').block_until_ready()  # a petabyte
    told = faults.of_device(caught.value)
    assert 'too small for this (RESOURCE_EXHAUSTED: Out of memory allocating 1125899906842624 bytes.)' in told
    assert 'config.train.micro_batches' in told and '\n' not in told
    of_another = jax.errors.JaxRuntimeError('FAILED_PRECONDITION: DNN library initialization failed.\nIn convolution')
    assert 'initialization failed.). Less' in faults.of_device(raised(of_another))
    assert faults.of_device(raised(jax.errors.JaxRuntimeError('INTERNAL: Failed to launch'))) is None
    assert faults.of_device(raised(RuntimeError('RESOURCE_EXHAUSTED'))) is None


def test_a_disk_that_is_full():
    """Whatever library writes to it."""
    told = faults.of_disk(raised(OSError(errno.ENOSPC, 'No space left on device', 'runs/dnr/test')))
    assert told.startswith("[Errno 28] No space left on device: 'runs/dnr/test'. Make room on the disk.")
    not_ours = raised(PermissionError(errno.EACCES, 'Permission denied', 'runs/dnr/a'))
    assert faults.of_disk(not_ours).endswith('See to whom it belongs. Then start the same command again.')
    assert faults.of_disk(raised(FileNotFoundError(errno.ENOENT, 'No such file', 'a'))) is None  # which may be a bug
    assert faults.of_disk(raised(BucketError(errno.ENOSPC, 'no room left', 'gs://a'))) is None  # it says so by itself


def of_a_library(record):
    return json.loads('neither this')  # raises a ValueError


def of_ours(record):
    raise ValueError('Expected a video, got none.')


@pytest.mark.parametrize('workers', [0, 1])
def test_a_bug_of_a_library_is_no_mistake_of_a_user_wherever_it_begins(workers, monkeypatch, capsys):
    monkeypatch.setattr(faults, 'HERE', Path(__file__).parent)  # as if this were the package
    for function, status, words in ((of_ours, 2, 'Expected a video'), (of_a_library, 1, 'this is a bug')):
        with pytest.raises(ValueError) as caught:
            list(guarded_map(function, [0], workers=workers, seconds=60))
        assert faults.status(caught.value) == status
        *before, last = capsys.readouterr().err.splitlines()
        assert words in last and any(function.__name__ in line for line in before) == (status == 1)


def raised(error):
    try:
        raise error
    except Exception as caught:
        return caught


ONE_AFTER_THE_OTHER = """
import sys
from ml_collections import ConfigDict
from dnr_jax.command import arguments
for crops in (1, 3):
    config = ConfigDict({'test': {'clips': 1, 'crops': crops}})
    print(arguments.override(config, sys.argv[1:]).to_json())
"""


def test_the_configs_of_several_checkpoints_can_be_changed_one_after_the_other():
    """In a process of its own, for flags are those of a process."""
    command = [sys.executable, '-c', ONE_AFTER_THE_OTHER, '--config.test.clips=4']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    found = [json.loads(line)['test'] for line in done.stdout.splitlines()]
    assert found == [{'clips': 4, 'crops': 1}, {'clips': 4, 'crops': 3}], done.stderr


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (KeyError('\'trian\'\\nDid you mean "train" instead of "trian"?'), "no key 'trian'. Did you mean 'train'?"),
        (AttributeError('"\'epohcs\'\nDid you mean "epochs" instead of "epohcs"?"'), "Did you mean 'epochs'?"),
        (AttributeError('"\'qqqq\'"'), "the config has no key 'qqqq'; all keys"),
        (OSError("[Errno 2] No such file or directory: 'configs/x.py'"), 'found no config file configs/x.py from the'),
        (
            AttributeError("module 'config_config' has no attribute 'get_config'"),
            "the config file has no attribute 'get",
        ),
    ],
)
def test_what_is_wrong_with_flags(error, words):
    told = arguments.of_flags(error)
    assert words in told and '\\n' not in told


@pytest.mark.parametrize(
    ('argument', 'words'),
    [
        ('--workdir=hdfs://a/b', '--workdir: Expected a local path, or gs://BUCKET/FOLDER or s3://BUCKET/FOLDER, got'),
        ('--out=gs://a/b', "--out: 'gs://a/b' takes gcsfs, which is not installed: pip install gcsfs"),
        ('--config.init_from=s3://a/b', "--config.init_from: 's3://a/b' takes s3fs"),
    ],
)
def test_urls_that_cannot_be_reached_are_refused_whatever_they_are_for(argument, words, monkeypatch, capsys):
    monkeypatch.setattr('dnr_jax.files.paths.find_spec', lambda name: None)
    with pytest.raises(SystemExit):
        arguments.at_home(argument)
    told = capsys.readouterr().err
    assert words in told and told.count('\n') == 1


def test_paths_of_flags(monkeypatch, bucket):
    monkeypatch.setenv('HOME', '/home/a')
    for argument, expected in (
        ('--workdir=~/runs', '--workdir=/home/a/runs'),
        ('--workdir=gs://a/b', '--workdir=gs://a/b'),
        ('rtsp://camera', 'rtsp://camera'),
        ('~/a', '~/a'),
    ):
        assert arguments.at_home(argument) == expected


def test_help_lists_the_flags_of_every_command():
    """And those of several processes, but none of libraries."""
    done = subprocess.run([sys.executable, 'eval.py', '--help'], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith('  --')}
    assert {'--workdir', '--checkpoint', '--compilation_cache', '--coordinator', '--config.KEY=VALUE'} <= listed
    assert not {'--verbosity', '--logtostderr'} & listed


@pytest.mark.parametrize(
    ('command', 'name'),
    [
        ('eval.py --workdir=none', 'eval.py'),
        ('-m dnr_jax.evaluation --workdir=none', 'evaluation'),
        ('-m dnr_jax.compare a b', 'compare'),
        ('-m dnr_jax.data.prepare nosuch', 'prepare'),
        ('-m dnr_jax.data.check nosuch', 'check'),
    ],
)
def test_a_mistake_is_one_line_that_begins_with_the_name_of_the_command(command, name):
    done = subprocess.run([sys.executable, *command.split()], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith(f'{name}: ') and done.stderr.count('\n') == 1
