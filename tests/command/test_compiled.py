"""Compiled programs are kept for the next command, in bounds; and what goes wrong with them ends none."""

import ast
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from dnr_jax.command import compiled

ROOT = Path(__file__).parents[2]
NAME = 'jit_step-' + '0' * 63 + '{}-cache'
# Says how many programs were taken from the folder, and what the program has computed.
COMPILE = """
import sys
from dnr_jax.command import compiled
compiled.keep(sys.argv[1] if len(sys.argv) > 1 else None)
import jax, jax.numpy as jnp
found = []
jax.monitoring.register_event_listener(lambda event, **_: found.append(event))
limit = {limit}
if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
print(jax.jit(lambda x: jnp.sum(x * 2))(jnp.arange(4.)), sum(event.endswith('cache_hits') for event in found) > 0)
"""


def begin(*arguments, limit=0, **variables):
    """A process of COMPILE; in it, no file is written of more than `limit` bytes."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(('JAX_', 'XLA_'))}
    env = inherited | {'JAX_PLATFORMS': 'cpu', 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0'} | variables
    command = [sys.executable, '-c', COMPILE.format(limit=limit), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def compile_with(*arguments, **settings):
    """(what COMPILE prints, what it says beside)."""
    return end(begin(*arguments, **settings))


def end(process):
    said, beside = process.communicate(timeout=300)
    assert process.returncode == 0, beside
    return said.strip(), beside


def programs(folder):
    return sorted(folder.glob('*-cache'))


def test_the_second_command_takes_what_the_first_has_compiled(tmp_path):
    folder = tmp_path / 'dnr_jax' / 'compiled'
    assert compile_with(XDG_CACHE_HOME=str(tmp_path)) == ('12.0 False', '')
    assert folder.stat().st_mode & 0o777 == 0o700 and programs(folder)
    assert compile_with(XDG_CACHE_HOME=str(tmp_path)) == ('12.0 True', '')


@pytest.mark.parametrize('asked', ['kept', ''])
def test_a_process_that_is_started_keeps_them_in_the_same_place(tmp_path, asked):
    asked = asked and str(tmp_path / asked)
    tells = f'from dnr_jax.command import compiled; compiled.keep({asked!r}); print(compiled.environment())'
    env = os.environ | {'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0'}
    told = subprocess.run([sys.executable, '-c', tells], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    environment = ast.literal_eval(told.stdout)
    assert environment.get('JAX_COMPILATION_CACHE_DIR', '') == asked
    if asked:
        assert compile_with(**environment) == ('12.0 False', '') and programs(tmp_path / 'kept')
        assert compile_with(**environment) == ('12.0 True', '')


def test_a_part_of_a_program_is_mended(tmp_path):
    """As a killed process or a full disk leaves it."""
    compile_with(tmp_path)
    whole = {path: path.stat().st_size for path in programs(tmp_path)}
    for path, size in whole.items():
        path.write_bytes(path.read_bytes()[: size // 2])
    assert compile_with(tmp_path) == ('12.0 False', '')
    assert {path: path.stat().st_size for path in programs(tmp_path)}.keys() == whole.keys()
    assert compile_with(tmp_path) == ('12.0 True', '')


def test_where_nothing_can_be_written_it_is_said_once(tmp_path):
    said, beside = compile_with(tmp_path, limit=100)
    assert said == '12.0 False' and beside.count('\n') == 1
    assert beside.startswith('note: compiled programs are not kept: ') and 'too large' in beside
    assert programs(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / 'file').touch()
    said, beside = compile_with(tmp_path / 'file' / 'compiled')
    assert said == '12.0 False'
    assert beside.startswith('note: compiled programs are not kept: ') and beside.count('\n') == 1


def test_several_at_once(tmp_path):
    for process in [begin(tmp_path) for _ in range(3)]:
        said, beside = end(process)
        assert said.startswith('12.0') and beside == ''
    assert compile_with(tmp_path) == ('12.0 True', '')


@pytest.fixture
def set_in_jax(monkeypatch):
    """What is set in JAX, while nothing is."""
    import jax

    found = {}
    monkeypatch.setattr(jax.config, 'update', found.__setitem__)
    monkeypatch.setattr(warnings, 'showwarning', warnings.showwarning)
    return found


def test_settings_of_jax_hold_unless_a_folder_is_asked_for(tmp_path, monkeypatch, set_in_jax):
    monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', str(tmp_path / 'of_jax'))
    compiled.keep(None)
    assert set_in_jax == {}
    compiled.keep(str(tmp_path / 'asked'))
    assert set_in_jax['jax_compilation_cache_dir'] == str(tmp_path / 'asked')
    compiled.keep('')
    assert set_in_jax['jax_compilation_cache_dir'] is None


def test_what_was_not_used_for_longest_goes(tmp_path):
    for number, (size, read, written) in enumerate([(40, 5, 1), (30, 2, 2), (20, 1, 4), (10, 3, 3)]):
        path = tmp_path / NAME.format(number)
        path.write_bytes(bytes(size))
        os.utime(path, (read, written))
    others = [tmp_path / 'film-cache', tmp_path / 'notes.txt']
    for path in others:
        path.write_bytes(bytes(1000))
    compiled.shrink(tmp_path, most=65)  # by last use 40, 20, 10, 30 bytes: two are 60, three are 70
    assert [path.name for path in programs(tmp_path)] == ['film-cache', NAME.format(0), NAME.format(2)]
    assert all(map(Path.exists, others))


def test_other_warnings_are_shown(tmp_path, set_in_jax):
    shown = []
    warnings.showwarning = lambda message, *_: shown.append(str(message))
    compiled.mend_failures(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter('always')
        warnings.showwarning(UserWarning('of something else'), UserWarning, 'file.py', 1)
    assert shown == ['of something else']


@pytest.mark.parametrize(
    'variables, folder, xla_caches',
    [
        ({}, None, 'xla_gpu_per_fusion_autotune_cache_dir'),  # disks of several hosts may be their own
        ({'JAX_COMPILATION_CACHE_DIR': '/shared'}, '/shared', 'xla_gpu_per_fusion_autotune_cache_dir'),
        ({'JAX_COMPILATION_CACHE_DIR': 'gs://bucket/compiled'}, 'gs://bucket/compiled', 'none'),  # unknown to XLA
        (
            {'JAX_COMPILATION_CACHE_DIR': 's3://bucket', 'JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES': 'all'},
            's3://bucket',
            'all',
        ),
    ],
)
def test_several_processes_keep_what_is_asked_for(tmp_path, variables, folder, xla_caches):
    program = (
        'from dnr_jax.command import compiled; compiled.keep(None, by_several=True); import jax; '
        'print([jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_enable_xla_caches])'
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith('JAX_')}
    env = clean | variables | {'XDG_CACHE_HOME': str(tmp_path)}
    told = subprocess.run(
        [sys.executable, '-c', program], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    assert ast.literal_eval(told.stdout) == [folder, xla_caches] and not list(tmp_path.iterdir())
