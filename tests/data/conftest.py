import contextlib
import io
import pathlib

import pytest

from dnr_jax.data import prepare


def prepare_tiny(dir: pathlib.Path) -> pathlib.Path:
    """Prepares 'moving_shapes/tiny' in `dir`, in this process, and returns `dir`."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert prepare.main(['moving_shapes', '--variant', 'tiny', '--out', str(dir), '--workers', '0']) == 0
    return dir


@pytest.fixture(scope='session')
def tiny_dir(tmp_path_factory) -> pathlib.Path:
    """A folder of data sets that holds 'moving_shapes/tiny'. Not to be written to."""
    return prepare_tiny(tmp_path_factory.mktemp('data'))
