"""What ends a command is called by its name: a process of the run that is gone, or a bug."""

import jax
import pytest

from dnr_jax import parallel
from dnr_jax.command import running


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.setattr(parallel, 'has_peers', lambda: True)


GONE = 'UNKNOWN: Gloo all-reduce failed: Connection closed by peer [127.0.0.1]:40671'


def test_a_process_that_is_gone(peers):
    told = running.of_peer(jax.errors.JaxRuntimeError(GONE))
    assert told.startswith('another process of the run has died') and 'goes on from the newest checkpoint' in told


@pytest.mark.parametrize('error', [RuntimeError(GONE), jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory')])
def test_other_errors_of_one_of_several(peers, error):
    assert running.of_peer(error) is None


def test_alone_nobody_is_gone():
    assert running.of_peer(jax.errors.JaxRuntimeError(GONE)) is None


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
    told = running.of_flags(error)
    assert words in told and '\\n' not in told
